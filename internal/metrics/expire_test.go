// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// collections drives a builder, one collection every ten seconds.
type collections struct {
	t       *testing.T
	builder *Builder
	groups  map[uint32]record.Group
	n       int
}

func collect(t *testing.T, groups ...record.Group) *collections {
	c := &collections{t: t, groups: map[uint32]record.Group{}}
	for _, g := range groups {
		c.groups[g.ID] = g
	}
	c.builder = New(Options{Resource: resources(), Start: start, Enabled: all, Expiration: 30 * time.Second})
	return c
}

// next makes a collection that the consumer accepts or refuses, and returns the calls and
// errors that were sent.
func (c *collections) next(accepted bool, s record.Snapshot) []string {
	c.t.Helper()
	c.n++
	s.Groups = c.groups
	uptime := time.Duration(c.n) * 10 * time.Second
	c.builder.Add(&s, uptime)
	return c.send(accepted, nil)
}

func (c *collections) send(accepted bool, meanwhile func()) []string {
	c.t.Helper()
	var sent []string
	for _, batch := range c.builder.Build(nil, start.Add(time.Duration(c.n)*10*time.Second)) {
		eachPoint(batch.Metrics, func(id, _ string, start, at pcommon.Timestamp, v value) {
			id, _, _ = strings.Cut(id, " socket.option.level=SOL_SOCKET")
			id = strings.NewReplacer("map[service.name:", "", "map[", "", "]", " ", "socket.", "", "getsockopt.", "", "otel.metric.", "", "=true", "").Replace(id)
			sent = append(sent, fmt.Sprintf("%s: %d from %s to %s", strings.Join(strings.Fields(id), " "), v.count, seconds(start), seconds(at)))
		})
		if meanwhile != nil {
			meanwhile()
		}
		c.builder.Done(batch, accepted)
	}
	return sent
}

func seconds(at pcommon.Timestamp) string { return at.AsTime().Sub(start).String() }

func (c *collections) expect(title string, got []string, want ...string) {
	c.t.Helper()
	for _, line := range want {
		if !slices.Contains(got, line) {
			c.t.Errorf("%s: %q is missing in\n%s", title, line, strings.Join(got, "\n"))
		}
	}
}

func (c *collections) expectNone(title string, got []string, part string) {
	c.t.Helper()
	for _, line := range got {
		if strings.Contains(line, part) {
			c.t.Errorf("%s: %s", title, line)
		}
	}
}

func of(series ...record.Series) record.Snapshot { return record.Snapshot{Series: series} }

var (
	curl    = group(1, record.OriginExecutable, "curl", "")
	sndbuf  = record.SeriesKey{Group: 1, Level: unix.SOL_SOCKET, Option: unix.SO_SNDBUF}
	ioUring = record.SeriesKey{Group: 1, Level: unix.SOL_SOCKET, Option: unix.SO_SNDBUF, Entry: record.EntryIOUring}
	refused = record.SeriesKey{Group: 1, Level: unix.SOL_SOCKET, Option: unix.SO_ERROR, Error: uint16(unix.ECONNREFUSED), Pending: true}
)

// A new point is preceded by one of 0, until it was accepted. A silent one is sent until it
// expires, and starts later when it comes back.
func TestPointsBeginExpireAndComeBack(t *testing.T) {
	c := collect(t, curl)
	errors := func(n, from, to string) string {
		return fmt.Sprintf("curl errors error.type=ECONNREFUSED: %s from %s to %s", n, from, to)
	}
	c.expect("refused", c.next(false, of(series(refused, 1000))), errors("0", "0s", "0s"), errors("1", "0s", "10s"))
	c.expect("again", c.next(true, of()), errors("0", "0s", "0s"), errors("1", "0s", "20s"))
	for _, to := range []string{"30s", "40s"} {
		if series, groups := c.builder.Expire(); series != nil || groups != nil {
			t.Errorf("%v and %v expire", series, groups)
		}
		got := c.next(true, of())
		c.expect("silent", got, errors("1", "0s", to))
		c.expectNone("begun", got, ": 0 ")
	}
	removed, groups := c.builder.Expire()
	if !slices.Equal(removed, []record.SeriesKey{refused}) || !slices.Equal(groups, []uint32{1}) {
		t.Errorf("%v and %v expire, want %v of group 1", removed, groups, refused)
	}
	if got := c.next(true, of()); len(got) != 0 {
		t.Errorf("sent after expiry: %q", got)
	}
	c.expect("comes back", c.next(true, of(series(refused, 1000, 1000))), errors("0", "50.001s", "50.001s"), errors("2", "50.001s", "1m0s"))
	if calls := c.builder.Calls(); calls != (Calls{Sent: 2, Expired: 1}) {
		t.Errorf("got %+v", calls)
	}
}

// What the consumer has not accepted does not expire.
func TestRefusedPointsDoNotExpire(t *testing.T) {
	c := collect(t, curl)
	c.next(true, of(series(sndbuf, 1000)))
	for range 10 {
		c.next(false, of())
	}
	if series, _ := c.builder.Expire(); len(series) != 1 {
		t.Errorf("%v expire: the value was accepted once, and has not changed", series)
	}
	c.next(true, of(series(sndbuf, 1000)))
	c.next(false, of(series(sndbuf, 1000)))
	for range 10 {
		if series, groups := c.builder.Expire(); series != nil || groups != nil {
			t.Fatalf("%v and %v expire", series, groups)
		}
		c.next(false, of())
	}
}

// A service keeps a group as long as it has an overflow point.
func TestGroupsOfRefusedOverflowDoNotExpire(t *testing.T) {
	c := collect(t, curl, group(2, record.OriginServiceName, "curl", ""))
	c.next(false, of(overflow(record.SeriesKey{Group: 1}, 1000), overflow(record.SeriesKey{Group: 2}, 1000)))
	for range 10 {
		c.next(false, of())
	}
	if _, groups := c.builder.Expire(); len(groups) != 1 {
		t.Errorf("%v expire, want one of two", groups)
	}
	c.next(true, of())
	if _, groups := c.builder.Expire(); len(groups) != 2 {
		t.Errorf("%v expire, want both", groups)
	}
}

// A series that was called through io_uring first and by system calls for the rest of its
// life: the duration has both, and keeps both.
func TestNoPointFallsWhenOneOfItsSeriesExpires(t *testing.T) {
	c := collect(t, curl)
	c.next(true, of(series(ioUring, 1000, 1000), series(sndbuf, 1000)))
	var removed []record.SeriesKey
	for n := range 10 {
		got := c.next(true, of(series(sndbuf, 1000)))
		to := time.Duration(20+10*n) * time.Second
		c.expect("duration", got, fmt.Sprintf("curl duration: %d from 0s to %v", 4+n, to))
		gone, _ := c.builder.Expire()
		removed = append(removed, gone...)
	}
	if !slices.Equal(removed, []record.SeriesKey{ioUring}) {
		t.Errorf("%v expire, want %v", removed, ioUring)
	}
	if calls := c.builder.Calls(); calls != (Calls{Sent: 11, Expired: 2}) {
		t.Errorf("got %+v", calls)
	}
}

// What was accepted of an evicted series is no longer sent. The rest is in the overflow point
// of its service.
func TestEvictedSeriesContinueAsOverflow(t *testing.T) {
	c := collect(t, curl)
	c.next(true, of(series(sndbuf, 1000, 1000), series(ioUring, 1000)))
	s := of(series(sndbuf, 1000, 1000, 1000))
	s.Evicted = []record.SeriesKey{sndbuf}
	got := c.next(true, s)
	c.expect("evicted", got,
		"curl calls overflow: 0 from 10.001s to 10.001s", "curl calls overflow: 3 from 10.001s to 20s",
		"curl duration: 6 from 0s to 20s") // which the other series has as well
	c.expectNone("evicted", got, "curl duration overflow")
	if calls := c.builder.Calls(); calls != (Calls{Sent: 4, Expired: 2, Moved: 3}) {
		t.Errorf("got %+v", calls)
	}
	c.expect("one that never was sent", c.next(true, record.Snapshot{
		Series: []record.Series{series(refused, 1000)}, Evicted: []record.SeriesKey{refused, sndbuf},
	}), "curl errors overflow: 1 from 20.001s to 30s", "curl calls overflow: 4 from 10.001s to 30s", "curl duration overflow: 1 from 20.001s to 30s")
}

// A series may lose its slot while the consumer has its point. Its answer decides what is
// sent again.
func TestEvictionWhileABatchIsUnderWay(t *testing.T) {
	for _, accepted := range []bool{true, false} {
		c := collect(t, curl)
		c.next(true, of(series(sndbuf, 1000)))
		add := func(n int, s record.Snapshot) {
			c.n += n
			s.Groups = c.groups
			c.builder.Add(&s, time.Duration(c.n)*10*time.Second)
		}
		add(1, of(series(sndbuf, 1000, 1000)))
		c.send(accepted, func() {
			s := of(series(sndbuf, 1000, 1000, 1000, 1000))
			s.Evicted = []record.SeriesKey{sndbuf}
			add(0, s)
			if calls := c.builder.Calls(); calls != (Calls{Sent: 4, Moved: 4}) {
				t.Errorf("under way: %+v", calls)
			}
		})
		want := Calls{Sent: 4, Expired: 3, Moved: 4}
		if !accepted {
			want = Calls{Sent: 6, Expired: 1, Moved: 6}
		}
		if calls := c.builder.Calls(); calls != want {
			t.Errorf("accepted %t: %+v, want %+v", accepted, calls, want)
		}
		c.expect("overflow", c.next(true, of()), fmt.Sprintf("curl calls overflow: %d from 20.001s to 30s", want.Sent))
	}
}

// The overflow of no group has its mark, and no container has none.
func TestOverflowIsNotMixedWithNoContainer(t *testing.T) {
	c := collect(t, group(1, record.OriginContainer, "", ""))
	got := c.next(true, of(series(sndbuf, 1000), overflow(record.SeriesKey{Group: record.GroupOverflow}, 1000, 1000), overflow(record.SeriesKey{Group: 1}, 1000)))
	c.expect("both", got, "calls overflow: 3 from 0s to 10s", "duration: 1 from 0s to 10s")
}

// A group that is gone leaves its calls to the overflow of no group, unless another one has
// the same resource.
func TestEvictedGroups(t *testing.T) {
	c := collect(t, curl, group(2, record.OriginServiceName, "curl", ""))
	second := sndbuf
	second.Group = 2
	c.next(true, of(series(sndbuf, 1000), series(second, 1000), overflow(record.SeriesKey{Group: 1}, 1000)))
	s := of(series(sndbuf, 1000), series(second, 1000))
	s.EvictedGroups = []uint32{1}
	c.expect("one of two", c.next(true, s), "curl duration: 4 from 0s to 20s", "curl calls overflow: 1 from 0s to 20s")
	delete(c.groups, 1)
	s = of(series(second, 1000, 1000), overflow(record.SeriesKey{Group: 2}, 1000))
	s.EvictedGroups = []uint32{2}
	got := c.next(true, s)
	c.expect("both", got, "calls overflow: 3 from 20.001s to 30s", "duration overflow: 3 from 20.001s to 30s")
	c.expectNone("both", got, "curl")
	if calls := c.builder.Calls(); calls != (Calls{Sent: 3, Expired: 5, Moved: 3}) {
		t.Errorf("got %+v", calls)
	}
}

// The points of a process that has ended are sent once more, and are not kept.
func TestEndedProcessesExpireAtOnce(t *testing.T) {
	c := collect(t)
	c.builder.options.Expiration = 0
	for pid := range uint32(3000) {
		id := pid + 1
		process := group(id, record.OriginServiceName|record.OriginProcess, "short", "")
		process.Process = record.ProcessKey{PID: id, Start: 1}
		c.groups = map[uint32]record.Group{id: process}
		key := sndbuf
		key.Group = id
		s := of(series(key, 1000))
		s.EndedGroups = []uint32{id}
		if got := c.next(false, s); len(got) != 4 {
			t.Fatalf("%q", got)
		}
		if series, _ := c.builder.Expire(); series != nil {
			t.Fatal("expires before it was accepted")
		}
		c.next(true, record.Snapshot{EndedGroups: []uint32{id}})
		if series, groups := c.builder.Expire(); !slices.Equal(series, []record.SeriesKey{key}) || !slices.Equal(groups, []uint32{id}) {
			t.Fatalf("%v and %v expire", series, groups)
		}
	}
	if b := c.builder; len(b.slots) != 0 || len(b.groups) != 1 || len(b.resources) != 2 {
		t.Errorf("%d series, %d groups and %d resources are left", len(b.slots), len(b.groups), len(b.resources))
	}
}
