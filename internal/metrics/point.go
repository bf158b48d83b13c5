// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"cmp"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// metric is one of the metrics, in the order of their names.
type metric uint8

const (
	socketErrors metric = iota
	getsockoptCalls
	getsockoptDuration
	metricCount
)

// pointKey is the attributes of a point. Series that differ only in the option's number
// (SO_RCVTIMEO has one for each word size) have the same key, because a metric must not
// have two points with the same attributes.
type pointKey struct {
	level, option string
	errorType     string
	entry         string // of socket.getsockopt.calls alone
	peerAddress   string // of socket.errors alone, like peerPort
	peerPort      uint32
	overflow      bool // the other fields are empty
}

// attributes is their number.
func (k pointKey) attributes() (n int) {
	for _, present := range []bool{
		k.level != "", k.option != "", k.errorType != "", k.entry != "", k.peerAddress != "", k.peerPort != 0, k.overflow,
	} {
		if present {
			n++
		}
	}
	return n
}

func (k pointKey) compare(other pointKey) int {
	if k.overflow != other.overflow {
		if k.overflow {
			return 1
		}
		return -1
	}
	return cmp.Or(
		cmp.Compare(k.level, other.level),
		cmp.Compare(k.option, other.option),
		cmp.Compare(k.errorType, other.errorType),
		cmp.Compare(k.entry, other.entry),
		cmp.Compare(k.peerAddress, other.peerAddress),
		cmp.Compare(k.peerPort, other.peerPort),
	)
}

// keysOf returns the points that a series of the kernel counts into, by metric. A pending
// error is not an error of its calls, which succeeded.
func keysOf(s *record.Series, names *sockopt.Names) (keys [metricCount]pointKey) {
	if s.Overflow {
		for m := range keys {
			keys[m].overflow = true
		}
		return keys
	}
	// Only 32-bit programs call socketcall.
	compat := s.Entry == record.EntrySyscallCompat || s.Entry == record.EntrySocketcall
	name := names.Of(s.Level, s.Option, sockopt.Where{Compat: compat})
	key := pointKey{level: name.Level, option: name.Option.Name}
	if s.Pending {
		keys[socketErrors] = pointKey{
			errorType: sockopt.ErrorType(int32(s.Error)), peerAddress: s.Peer.Text(), peerPort: s.Peer.Port,
		}
	} else if s.Error != 0 {
		key.errorType = sockopt.ErrorType(int32(s.Error))
	}
	keys[getsockoptDuration] = key
	key.entry = s.Entry.String()
	keys[getsockoptCalls] = key
	return keys
}

// point is a point that is sent at every collection.
type point struct {
	of  *resource
	key pointKey

	now      value
	sent     value // in the batch under way, if sending
	accepted value // what the consumer accepted last
	metric   metric
	sending  bool
	removed  bool
	shared   bool // the buckets of now are also those of sent or accepted

	changed    uint64 // the snapshot of the last call
	acceptedAt uint64 // the snapshot of which the consumer accepted the value last, 0 for none
	start      pcommon.Timestamp
	slots      int           // how many series of the kernel count into it; 0 for overflow
	last       time.Duration // uptime at the last call, of overflow
}

// settled reports whether the consumer has accepted every call up to a snapshot.
func (p *point) settled(snapshot uint64) bool { return p.acceptedAt >= snapshot }

func (p *point) add(more value, snapshot uint64) {
	p.shared = p.now.add(more, p.shared)
	p.changed = snapshot
}

func (p *point) send() {
	p.sent, p.sending, p.shared = p.now, true, true
}

func (p *point) accept(v value, snapshot uint64) {
	p.accepted, p.acceptedAt, p.shared = v, snapshot, true
}

// resource is what is sent under one resource. Several groups of the kernel may have the
// same: the BPF programs distinguish services by encodings that mean the same.
type resource struct {
	id       string
	resource *workload.Resource
	points   [metricCount]map[pointKey]*point
	groups   int
	ended    int // those whose process has ended
}

func newResource(id string, w *workload.Resource) *resource {
	r := &resource{id: id, resource: w}
	for m := range r.points {
		r.points[m] = make(map[pointKey]*point)
	}
	return r
}

func (r *resource) point(m metric, key pointKey) *point {
	p, found := r.points[m][key]
	if !found {
		p = &point{of: r, metric: m, key: key}
		r.points[m][key] = p
	}
	return p
}

func (r *resource) empty() bool {
	n := 0
	for _, points := range r.points {
		n += len(points)
	}
	return n == 0
}

// sorted returns the points of a metric in their order.
func (r *resource) sorted(m metric) []*point {
	points := make([]*point, 0, len(r.points[m]))
	for _, p := range r.points[m] {
		points = append(points, p)
	}
	slices.SortFunc(points, func(a, b *point) int { return a.key.compare(b.key) })
	return points
}
