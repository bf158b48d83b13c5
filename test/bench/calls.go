// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
)

// callCost is what one mode makes of one load.
type callCost struct {
	Mode string `json:"mode"`
	Hook string `json:"hook,omitempty"`
	Load string `json:"load"`
	// The time of a call, and how much of it is more than without a probe in
	// the same round.
	NS    summary `json:"ns"`
	Added summary `json:"added_ns"`
	// Added, by that of the limit and the empty pair of the same hook, of bpftrace's
	// histogram and counter, of bpftrace's line a call, and of strace; 0 where
	// there is none.
	ToLimit     float64 `json:"to_limit,omitempty"`
	ToEmpty     float64 `json:"to_empty_pair,omitempty"`
	ToHistogram float64 `json:"to_bpftrace_histogram,omitempty"`
	ToPrintf    float64 `json:"to_bpftrace_line,omitempty"`
	ToStrace    float64 `json:"to_strace,omitempty"`
}

// sighting is what a mode saw of the getsockopt calls, over all rounds.
type sighting struct {
	Mode string `json:"mode"`
	Made uint64 `json:"made"`
	Seen uint64 `json:"seen"` // at least; all when the mode cannot count
	Lost uint64 `json:"lost"` // of those seen, by the mode's own account
	// Spans that arrived.
	Spans uint64 `json:"spans,omitempty"`
}

var callLoads = []order{{name: loadType}, {name: loadError}, {name: loadPPID}}

// turns is the state of measurements that take turns.
type turns struct {
	settings
	cpus
	// ns[mode][load] has a sample for each round.
	ns    map[string]map[string][]float64
	saw   map[string]*sighting
	again int // turns repeated because something else traced the host meanwhile

	services int           // that the load's calls come from
	every    time.Duration // from one call to the next, over batches; 0: at once
}

func newTurns(s settings, c cpus) *turns {
	return &turns{settings: s, cpus: c, ns: map[string]map[string][]float64{}, saw: map[string]*sighting{}, services: 1}
}

// measureCalls is the first part: the cost of a call while it is observed.
func measureCalls(ctx context.Context, s settings, c cpus, r *report) error {
	modes := modesFor(s.hooks)
	if s.modes != nil {
		modes = slices.DeleteFunc(modes, func(m mode) bool {
			return m.name != modes[0].name &&
				!slices.ContainsFunc(s.modes, func(want string) bool { return strings.Contains(m.name, want) })
		})
	}
	t := newTurns(s, c)
	t.every = callEvery
	if err := t.rounds(ctx, modes, callLoads); err != nil {
		return err
	}
	r.TurnsRepeated = t.again
	for _, m := range modes {
		r.Sightings = append(r.Sightings, *t.saw[m.name])
		for _, load := range callLoads {
			r.Calls = append(r.Calls, t.cost(m, load.label()))
		}
	}
	compare(r.Calls)
	r.printCalls(os.Stdout)
	return nil
}

// rounds gives every mode its turn, again and again. Each round begins with
// another mode, so that none always follows the same one.
func (t *turns) rounds(ctx context.Context, modes []mode, loads []order) error {
	for round := range t.settings.rounds {
		for i := range modes {
			m := modes[(i+round)%len(modes)]
			if err := t.turn(ctx, m, loads); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, t.settings.rounds)
	}
	return nil
}

// errDisturbed ends a turn that something else on the host got in the way of.
var errDisturbed = errors.New("something else on the host traces system calls, or makes many")

// maxAgain is how often a turn is repeated: some hosts are never quiet.
const maxAgain = 10

// turn gives a mode its turn in a round. It is repeated when something else
// began to trace the host meanwhile, or made so many getsockopt calls that it
// got in the way.
func (t *turns) turn(ctx context.Context, m mode, loads []order) error {
	for try := 0; ; try++ {
		if err := t.residents.wait(ctx); err != nil {
			return err
		}
		samples, seen, err := t.once(ctx, m, loads)
		if errors.Is(err, errDisturbed) && try < maxAgain {
			t.again++
			continue
		}
		if err != nil {
			return err
		}
		if t.ns[m.name] == nil {
			t.ns[m.name] = map[string][]float64{}
			t.saw[m.name] = &sighting{Mode: m.name}
		}
		for load, ns := range samples {
			t.ns[m.name][load] = append(t.ns[m.name][load], ns)
		}
		total := t.saw[m.name]
		total.Made += seen.Made
		total.Seen += seen.Seen
		total.Lost += seen.Lost
		total.Spans += seen.Spans
		return nil
	}
}

func (t *turns) once(ctx context.Context, m mode, loads []order) (_ map[string]float64, s sighting, err error) {
	w, err := startServices(ctx, t.load, t.services)
	if err != nil {
		return nil, s, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	watching, err := m.start(ctx, w)
	if err != nil {
		return nil, s, err
	}
	samples, err := t.measure(m, w, watching, loads)
	seen, stopped := watching.stop()
	if err := errors.Join(err, stopped); err != nil {
		return nil, s, err
	}
	s = sighting{Made: w.calls, Seen: min(seen.calls, w.calls), Lost: seen.lost, Spans: seen.spans}
	return samples, s, m.check(w.calls, seen)
}

// check returns an error when what a mode saw does not count.
func (m *mode) check(made uint64, seen saw) error {
	// What a peer loses is its own business: it is reported.
	if m.hook != "" && seen.calls < made {
		return fmt.Errorf("saw %d of %d calls", seen.calls, made)
	}
	if seen.calls != everyCall && seen.calls > made+made/10 {
		return errDisturbed
	}
	if seen.series < m.series {
		return fmt.Errorf("counted in %d series, want %d", seen.series, m.series)
	}
	if m.all && seen.spans < made-made/100 {
		return fmt.Errorf("%d spans of %d calls arrived, less than 99 %%: the times are those of lost records. The host is too slow or too busy for a call each %v",
			seen.spans, made, callEvery)
	}
	return nil
}

func (t *turns) measure(m mode, w *worker, watching watcher, loads []order) (map[string]float64, error) {
	if err := watching.settle(w); err != nil {
		return nil, err
	}
	before, err := tracingPrograms()
	if err != nil {
		return nil, err
	}
	if err := w.wake(m.batch); err != nil {
		return nil, err
	}
	samples := map[string]float64{}
	for _, load := range loads {
		if !load.isGetsockopt() {
			if err := watching.rest(); err != nil {
				return nil, err
			}
			if err := w.wake(m.batch); err != nil {
				return nil, err
			}
		}
		for _, batches := range []int{load.warmUp(m.batch), t.batches} {
			load.batches, load.calls, load.every = batches, m.batch, time.Duration(m.batch)*t.every
			ns, err := w.do(load)
			if err != nil {
				return nil, err
			}
			samples[load.label()] = ns
		}
	}
	after, err := tracingPrograms()
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(after, func(id ebpf.ProgramID) bool { return !slices.Contains(before, id) }) {
		return nil, errDisturbed
	}
	return samples, nil
}

func (t *turns) cost(m mode, load string) callCost {
	base := t.ns[noProbe][load]
	ns := t.ns[m.name][load]
	added := make([]float64, len(ns))
	for i := range ns {
		added[i] = ns[i] - base[i]
	}
	return callCost{Mode: m.name, Hook: m.hook, Load: load, NS: summarize(ns), Added: summarize(added)}
}

// compare puts in the ratios.
func compare(costs []callCost) {
	added := func(mode, load string) float64 {
		for i := range costs {
			if costs[i].Mode == mode && costs[i].Load == load {
				return costs[i].Added.Median
			}
		}
		return 0
	}
	ratio := func(c *callCost, to string) float64 {
		if other := added(to, c.Load); other > 0 && c.Mode != to {
			return c.Added.Median / other
		}
		return 0
	}
	for i := range costs {
		c := &costs[i]
		if c.Hook == "" {
			continue
		}
		if c.Load != loadPPID {
			c.ToLimit = ratio(c, clockPair+c.Hook)
		}
		c.ToEmpty = ratio(c, emptyPair+c.Hook)
		c.ToHistogram = ratio(c, peerHistogram)
		c.ToPrintf = ratio(c, peerPrintf)
		c.ToStrace = ratio(c, peerStrace)
	}
}
