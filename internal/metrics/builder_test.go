// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

var (
	start = time.Unix(1_700_000_000, 0)
	at    = time.Unix(1_700_000_010, 0)
	all   = Enabled{Calls: true, Duration: true, Errors: true}
)

// buckets counts one call for each of the durations, in nanoseconds.
func buckets(durations ...uint64) []uint64 {
	b := make([]uint64, histogram.Buckets)
	for _, ns := range durations {
		b[histogram.Index(ns)]++
	}
	return b
}

// series is a series of calls of such durations.
func series(key record.SeriesKey, durations ...uint64) record.Series {
	s := record.Series{SeriesKey: key, Buckets: buckets(durations...)}
	for _, ns := range durations {
		s.Sum += ns
	}
	return s
}

func overflow(key record.SeriesKey, durations ...uint64) record.Series {
	s := series(key, durations...)
	s.Overflow = true
	return s
}

func group(id uint32, origin record.Origin, name, namespace string) record.Group {
	return record.Group{ID: id, Origin: origin, Name: name, Namespace: namespace}
}

// 1000 ns lie in bucket -80: 2^(-80/4) s is 954 ns.
var snapshots = map[string]*record.Snapshot{
	"empty": {},
	"service": {
		Groups: map[uint32]record.Group{
			1: group(1, record.OriginExecutable, "curl", ""),
			2: group(2, record.OriginServiceName|record.OriginAttributes, "checkout", "shop"),
		},
		Series: []record.Series{
			series(record.SeriesKey{Group: 2, Level: unix.SOL_TCP, Option: unix.TCP_INFO}, 1000, 1000, 3000),
			series(record.SeriesKey{Group: 2, Level: unix.SOL_TCP, Option: unix.TCP_INFO, Error: uint16(unix.ENOPROTOOPT)}, 500),
			series(record.SeriesKey{Group: 2, Level: unix.SOL_SOCKET, Option: unix.SO_ERROR}, 1000),
			series(record.SeriesKey{Group: 2, Level: unix.SOL_SOCKET, Option: unix.SO_ERROR, Error: uint16(unix.ECONNREFUSED), Pending: true}, 1000, 1000),
			series(record.SeriesKey{Group: 2, Level: unix.SOL_SOCKET, Option: unix.SO_ERROR, Error: uint16(unix.ETIMEDOUT), Pending: true}, 4000),
			series(record.SeriesKey{Group: 1, Level: unix.SOL_SOCKET, Option: unix.SO_SNDBUF}, 1000),
			series(record.SeriesKey{Group: 1, Level: unix.SOL_SOCKET, Option: unix.SO_SNDBUF, Entry: record.EntryIOUring}, 2000),
			series(record.SeriesKey{Group: 1, Level: unix.SOL_SOCKET, Option: unix.SO_SNDBUF, Entry: record.EntrySocketcall}), // no call yet
			series(record.SeriesKey{Group: 1, Level: unix.SOL_SOCKET, Option: -9}, 200_000_000_000),                           // past the last bound
		},
	},
	"peers": {
		Groups: map[uint32]record.Group{1: group(1, record.OriginExecutable, "curl", "")},
		Series: []record.Series{
			series(refusedBy(peer(7, 443)), 1000),
			series(refusedBy(peer(7, 80)), 1000, 1000),
			series(refusedBy(record.Peer{Address: [16]byte{10: 255, 11: 255, 12: 192, 14: 2, 15: 7}, Length: 16, Family: 10, Port: 80}), 1000),
			series(refusedBy(record.Peer{}), 1000),
			overflow(record.SeriesKey{Group: 1, Pending: true}, 2000),
		},
	},
	"folded": {
		Groups: map[uint32]record.Group{
			7: group(7, record.OriginAttributes, "check%20out", ""),
			8: group(8, record.OriginServiceName, "check out", ""),
			9: group(9, record.OriginAttributes, " check out", " "),
		},
		Series: []record.Series{
			series(record.SeriesKey{Group: 7, Level: unix.SOL_TCP, Option: unix.TCP_INFO}, 1000),
			series(record.SeriesKey{Group: 8, Level: unix.SOL_TCP, Option: unix.TCP_INFO}, 1000, 2000),
			series(record.SeriesKey{Group: 9, Level: unix.SOL_TCP, Option: unix.TCP_INFO}, 4000),
		},
	},
	"overflow": {
		Groups: map[uint32]record.Group{1: group(1, record.OriginExecutable, "curl", "")},
		Series: []record.Series{
			series(record.SeriesKey{Group: record.GroupOverflow, Level: unix.SOL_SOCKET, Option: unix.SO_SNDBUF}, 1000),
			series(record.SeriesKey{Group: 99, Level: unix.SOL_SOCKET, Option: unix.SO_SNDBUF}, 1000), // its group is not there
			series(record.SeriesKey{Group: 1, Level: unix.SOL_SOCKET, Option: unix.SO_SNDBUF}, 1000),
			overflow(record.SeriesKey{Group: 1, Level: 3, Option: 3}, 1000, 1000),
			overflow(record.SeriesKey{Group: 1, Level: 4, Option: 4, Error: 5}, 1000),
			overflow(record.SeriesKey{Group: 1, Pending: true, Error: uint16(unix.ECONNREFUSED)}, 2000),
			series(record.SeriesKey{Group: 1, Level: unix.SOL_SOCKET, Option: unix.SO_ERROR, Pending: true, Error: uint16(unix.ECONNREFUSED)}, 1000),
		},
	},
}

// refusedBy is the series of those whom a peer refused.
func refusedBy(p record.Peer) record.SeriesKey {
	key := refused
	key.Peer = p
	return key
}

// peer is one of IPv4.
func peer(last byte, port uint32) record.Peer {
	return record.Peer{Address: [16]byte{192, 0, 2, last}, Length: 4, Family: 2, Port: port}
}

func TestGolden(t *testing.T) {
	for name, snapshot := range snapshots {
		t.Run(name, func(t *testing.T) {
			b := New(Options{Resource: resources(), Version: "1.2.3", Start: start, Enabled: all})
			got := marshal(t, add(t, b, snapshot))
			path := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s differs from\n%s", path, got)
			}
			other := New(Options{Resource: resources(), Version: "1.2.3", Start: start, Enabled: all})
			if again := marshal(t, add(t, other, snapshot)); !bytes.Equal(got, again) {
				t.Errorf("a second time it is\n%s", again)
			}
		})
	}
}

// add returns the metrics after a snapshot, which must be one batch.
func add(t *testing.T, b *Builder, s *record.Snapshot) pmetric.Metrics {
	t.Helper()
	b.Add(s, 0)
	return one(t, b.Build(nil, at))
}

// one is the only batch, which may be empty.
func one(t *testing.T, batches []Batch) pmetric.Metrics {
	t.Helper()
	switch len(batches) {
	case 0:
		return pmetric.NewMetrics()
	case 1:
		return batches[0].Metrics
	}
	t.Fatalf("%d batches, want one", len(batches))
	return pmetric.Metrics{}
}

func marshal(t *testing.T, m pmetric.Metrics) []byte {
	t.Helper()
	b, err := (&pmetric.JSONMarshaler{}).MarshalMetrics(m)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	return out.Bytes()
}

func TestDisabledMetricsAreOmitted(t *testing.T) {
	for _, test := range []struct {
		name    string
		enabled Enabled
		want    []string
	}{
		{"none", Enabled{}, nil},
		{"calls", Enabled{Calls: true}, []string{"socket.getsockopt.calls"}},
		{"duration", Enabled{Duration: true}, []string{"socket.getsockopt.duration"}},
		{"errors", Enabled{Errors: true}, []string{"socket.errors"}},
		{"all", all, []string{"socket.errors", "socket.getsockopt.calls", "socket.getsockopt.duration"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := add(t, New(Options{Resource: resources(), Start: start, Enabled: test.enabled}), &record.Snapshot{
				Groups: map[uint32]record.Group{1: group(1, record.OriginExecutable, "curl", "")},
				Series: []record.Series{series(record.SeriesKey{Group: 1, Level: unix.SOL_SOCKET, Option: unix.SO_ERROR, Error: uint16(unix.ECONNREFUSED), Pending: true}, 1000)},
			})
			if len(test.want) == 0 {
				if n := m.ResourceMetrics().Len(); n != 0 {
					t.Errorf("%d resources, want none", n)
				}
				return
			}
			metrics := m.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics()
			if metrics.Len() != len(test.want) {
				t.Fatalf("%d metrics, want %d", metrics.Len(), len(test.want))
			}
			for i, name := range test.want {
				if got := metrics.At(i).Name(); got != name {
					t.Errorf("%+v: %s, want %s", test.enabled, got, name)
				}
			}
		})
	}
}

// A resource without a point of the metrics that are wanted is left out.
func TestGroupsWithoutPointsAreOmitted(t *testing.T) {
	m := add(t, New(Options{Resource: resources(), Enabled: Enabled{Errors: true}}), snapshots["service"])
	if n := m.ResourceMetrics().Len(); n != 1 {
		t.Errorf("%d resources, want 1", n)
	}
}

func resources() func(record.Group) *workload.Resource {
	return workload.NewGroups(workload.NewProcfs("/proc"), time.Now).Resource
}

// Exemplars are in the bucket in which their call was counted, one in each: the newest, if
// folding joins two.
func TestExemplars(t *testing.T) {
	store := NewExemplars()
	seven := record.SeriesKey{Group: 7, Level: unix.SOL_TCP, Option: unix.TCP_INFO}
	eight := record.SeriesKey{Group: 8, Level: unix.SOL_TCP, Option: unix.TCP_INFO}
	id := func(n byte) Exemplar {
		return Exemplar{At: pcommon.Timestamp(n), TraceID: pcommon.TraceID{n}, SpanID: pcommon.SpanID{n}}
	}
	for _, put := range []struct {
		series   record.SeriesKey
		duration uint64
		n        byte
	}{{seven, 1000, 1}, {seven, 1001, 3}, {eight, 1002, 2}, {eight, 2000, 4}, {record.SeriesKey{Group: 99}, 5000, 5}} {
		x := id(put.n)
		x.Duration = put.duration
		store.Put(Candidate{put.series, x})
	}
	taken := store.Take()
	if len(store.Take()) != 0 {
		t.Error("taken twice")
	}
	b := New(Options{Resource: resources(), Enabled: Enabled{Duration: true}})
	b.Add(snapshots["folded"], 0)
	m := one(t, b.Build(taken, at))
	points := m.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).ExponentialHistogram().DataPoints()
	got := points.At(1).Exemplars()
	if points.Len() != 2 || points.At(0).Exemplars().Len() != 0 || got.Len() != 2 {
		t.Fatalf("%d points, %d exemplars", points.Len(), got.Len())
	}
	for i, want := range []struct {
		n       byte
		seconds float64
	}{{3, 1001e-9}, {4, 2000e-9}} {
		if x := got.At(i); x.TraceID()[0] != want.n || x.SpanID()[0] != want.n || x.DoubleValue() != want.seconds || x.Timestamp() != pcommon.Timestamp(want.n) {
			t.Errorf("exemplar %d: got %v of %v s at %v, want %+v", i, x.TraceID(), x.DoubleValue(), x.Timestamp(), want)
		}
	}

	newer := id(9)
	newer.Duration = 1000
	store.Put(Candidate{seven, newer})
	store.Return(taken)
	back := store.Take()
	if back[bucketKey{seven, histogram.Index(1000)}] != newer || len(back) != len(taken) {
		t.Errorf("given back: %v, want %d with the newer one", back, len(taken))
	}
}

// Exemplars are of the option under which their call was counted, whichever came before.
func TestExemplarsAreOfCountedOptions(t *testing.T) {
	store := NewExemplars()
	want := map[record.SeriesKey]bool{}
	for _, option := range []sockopt.NumberedOption{
		{}, {Level: unix.SOL_TCP, Code: unix.TCP_INFO}, {Level: unix.SOL_TCP, Code: 9999}, {Level: 9999, Code: 1}, {},
	} {
		store.Put(Candidate{record.SeriesKey{Level: option.Level, Option: option.Code}, Exemplar{Duration: 1}})
		counted := option.Counted()
		want[record.SeriesKey{Level: counted.Level, Option: counted.Code}] = true
	}
	taken := store.Take()
	for key := range taken {
		if !want[key.series] {
			t.Errorf("an exemplar of %+v, want one of each of %v", key.series, want)
		}
	}
	if len(taken) != len(want) {
		t.Errorf("%d exemplars, want %d", len(taken), len(want))
	}
}

func TestExemplarsAreBounded(t *testing.T) {
	store := NewExemplars()
	fill := func(first int) {
		for i := range 2 * maxExemplars {
			store.Put(Candidate{record.SeriesKey{Group: uint32(first + i)}, Exemplar{Duration: 1}})
		}
	}
	fill(0)
	refused := store.Take()
	fill(2 * maxExemplars)
	store.Return(refused)
	for _, taken := range []TakenExemplars{refused, store.Take()} {
		if len(taken) != maxExemplars {
			t.Errorf("%d exemplars, want %d", len(taken), maxExemplars)
		}
	}
}
