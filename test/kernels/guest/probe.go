// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
	"github.com/getsockopt/getsockoptreceiver/test/kernels/report"
)

// runProbe goes through every entry point with one hook in place.
func runProbe(hook string, entryPoints []report.EntryPoint) {
	before, err := kernelObjects()
	if err != nil {
		conclude(report.Probe(hook, ""), err)
		return
	}
	log, err := zap.NewDevelopment()
	if err != nil {
		conclude(report.Probe(hook, ""), err)
		return
	}
	p, err := probe.Start(context.Background(), probe.Options{
		Hook: hook, Spans: true, ValuesEnabled: true, ValueMaxLength: 64, SamplingRatio: 1, Logger: log,
	})
	if err != nil {
		conclude(report.Probe(hook, ""), errOutcome{report.Refused, err})
		return
	}
	for _, reason := range p.Degraded() {
		log.Warn("degraded", zap.Error(reason))
	}
	for _, d := range entryPoints {
		conclude(report.Probe(hook, d.Name), probeEntryPoint(p, d))
	}
	chosen := p.Hook()
	err = errors.Join(checkTotals(p, log), p.Close())
	// Nothing refers to p any more, so that its mappings can go.
	err = errors.Join(err, before.checkNothingLeft())
	if err == nil && hook == probe.HookAuto {
		// Which hook it is belongs to the outcome: the host compares it.
		err = errOutcome{report.Outcome(chosen), errors.New("the hook that was chosen")}
	}
	conclude(report.Probe(hook, ""), err)
}

func probeEntryPoint(p *probe.Probe, d report.EntryPoint) error {
	v, err := runEntryPoint(d)
	if err != nil {
		return err
	}
	var got calls
	// A reader that waits is woken late, because records come in batches: look for them.
	for end := time.Now().Add(time.Second); len(got.calls) < report.CallsPerEntryPoint && time.Now().Before(end); {
		if _, err := p.Read(time.Now().Add(10*time.Millisecond), report.CallsPerEntryPoint, &got); err != nil {
			return err
		}
	}
	// Whatever else there is would be a call seen twice.
	if _, err := p.Read(time.Now(), report.CallsPerEntryPoint, &got); err != nil {
		return err
	}
	seen, err := got.of(v.pid)
	if err != nil {
		return err
	}
	if err := v.compare(seen); err != nil {
		return err
	}
	return checkCount(p, d)
}

// calls are what came out of the ring.
type calls struct {
	calls     []timedCall
	processes map[uint32]bool
	malformed error
}

type timedCall struct {
	call
	pid   int
	start uint64
}

func (c *calls) Call(r *record.Call) {
	where := sockopt.Where{Compat: r.Has(record.FlagCompat)}
	if r.Has(record.FlagSocket) {
		where.Family = r.Socket.Family
	}
	name := strconv.Itoa(int(r.Option))
	if option, found := sockopt.Lookup(r.Level, r.Option, where); found {
		name = option.Name
	}
	seen := call{
		name: name, level: r.Level, option: r.Option, result: int64(r.Return),
		entry: r.Entry.String(), thread: int64(r.ThreadID),
	}
	if r.Has(record.FlagValue) {
		seen.value = hex.EncodeToString(r.Value)
	}
	c.calls = append(c.calls, timedCall{call: seen, pid: int(r.Process.PID), start: r.Start})
}

func (c *calls) Process(p *record.Process) {
	if c.processes == nil {
		c.processes = make(map[uint32]bool)
	}
	c.processes[p.Key.PID] = true
}

func (c *calls) Malformed(err error) { c.malformed = errors.Join(c.malformed, err) }

// of returns the calls of a process in the order in which they began.
func (c *calls) of(pid int) ([]call, error) {
	slices.SortFunc(c.calls, func(a, b timedCall) int { return cmp.Compare(a.start, b.start) })
	var own []call
	for _, seen := range c.calls {
		if seen.pid == pid {
			own = append(own, seen.call)
		}
	}
	if len(own) > 0 && !c.processes[uint32(pid)] {
		return nil, errors.New("calls seen, but not their process")
	}
	return own, c.malformed
}

// checkCount looks at what the kernel counted, apart from the records.
func checkCount(p *probe.Probe, d report.EntryPoint) error {
	s, err := p.Snapshot()
	if err != nil {
		return err
	}
	var counted uint64
	for _, series := range s.Series {
		if s.Groups[series.Group].Name == serviceOf(d) && series.Entry.String() == d.Entry {
			counted += series.Count()
		}
	}
	if counted != report.CallsPerEntryPoint {
		return fmt.Errorf("%d calls counted, want %d", counted, report.CallsPerEntryPoint)
	}
	return nil
}

// checkTotals: the guest is quiet, so every call has been seen from its entry
// to its return.
func checkTotals(p *probe.Probe, log *zap.Logger) error {
	if err := p.Detach(); err != nil {
		return err
	}
	s, err := p.Snapshot()
	if err != nil {
		return err
	}
	c := s.Counters
	log.Info("counters", zap.Any("counters", c))
	if c.Uncounted()+c.RingFull+c.ProcessLost+c.ValueReadErrors != 0 {
		return fmt.Errorf("something was lost: %+v", c)
	}
	return nil
}
