// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
	"github.com/getsockopt/getsockoptreceiver/test/resilience/rig"
)

const (
	receiver = "getsockopt"
	// limit is how long what must come may take on a busy host.
	limit = time.Minute
)

// environment is what a soak runs on.
type environment struct {
	load      *rig.Load
	backend   *rig.Backend
	collector *rig.Collector
	pprof     string // address
	ready     int    // how often the Collector was
}

// soak runs the load for a time and reports what became of everything.
func soak(length time.Duration, report io.Writer) (err error) {
	before, err := rig.Objects()
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "soak-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	s, err := newEnvironment(folder)
	if err != nil {
		return err
	}
	defer s.backend.Close()
	defer s.collector.Kill()

	w, err := s.run(length, report)
	if err != nil {
		return err
	}
	if err := s.balance(report); err != nil {
		return err
	}
	if err := w.end(report); err != nil {
		return err
	}
	if err := s.collector.Stop(); err != nil {
		return err
	}
	if err := harness.Await(limit, func() error { return rig.NothingNew(before) }); err != nil {
		return err
	}
	fmt.Fprintln(report, "nothing is left in the kernel")
	return nil
}

func newEnvironment(folder string) (*environment, error) {
	s := &environment{backend: rig.NewBackend(), ready: 1}
	var err error
	if s.load, err = rig.NewLoad(folder, "load-soak"); err != nil {
		return nil, err
	}
	if s.pprof, err = harness.FreeAddress(); err != nil {
		return nil, err
	}
	config := filepath.Join(folder, "collector.yaml")
	text := s.backend.Config(s.pprof, rig.Receiver{Name: receiver, Settings: rig.Settings(s.load, "group_by: process")})
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	s.collector, err = rig.StartCollector(config)
	return s, err
}

// run keeps two processes calling and others coming and going, and goes through
// the faults meanwhile.
func (s *environment) run(length time.Duration, report io.Writer) (*watch, error) {
	var loads []*rig.Running
	for _, script := range []string{"stream", "stream", "churn"} {
		r, err := s.load.Start(script)
		if err != nil {
			return nil, err
		}
		defer r.Kill()
		loads = append(loads, r)
	}
	w := &watch{environment: s}
	if err := w.look(); err != nil {
		return nil, err
	}
	faults := s.faults()
	for begin, next := time.Now(), 0; time.Since(begin) < length; next++ {
		f := faults[next%len(faults)]
		if err := f.begin(); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		time.Sleep(max(length/time.Duration(2*len(faults)), 500*time.Millisecond))
		if err := w.look(); err != nil {
			return nil, err
		}
		w.print(report, time.Since(begin), f.name)
	}
	s.backend.Set(nil)
	for _, r := range loads {
		if _, err := r.End(); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// fault is one thing that happens to the Collector, until the next one does.
type fault struct {
	name  string
	begin func() error
}

func (s *environment) faults() []fault {
	answer := func(f rig.Fault) func() error {
		return func() error {
			s.backend.Set(f)
			return nil
		}
	}
	return []fault{
		{"none", answer(nil)},
		{"refuses", answer(rig.Refuse(http.StatusServiceUnavailable))},
		{"none", answer(nil)},
		{"refuses permanently", answer(rig.Refuse(http.StatusBadRequest))},
		{"blocks", func() error {
			release := make(chan struct{})
			s.backend.Set(rig.Block(release))
			time.AfterFunc(2*time.Second, func() { close(release) })
			return nil
		}},
		{"reload", func() error {
			s.backend.Set(nil)
			if err := s.collector.Signal(syscall.SIGHUP); err != nil {
				return err
			}
			s.ready++
			return s.collector.AwaitReady(s.ready)
		}},
	}
}

// balance looks at both equations when the load rests, and whether calls that
// are known in number are counted as that.
func (s *environment) balance(report io.Writer) error {
	var rest rig.Received
	settle := func(made uint64) error {
		return harness.Await(limit, func() error {
			d, err := s.backend.Data(receiver)
			if err != nil {
				return err
			}
			if err := s.backend.SelfTelemetry(receiver).AtRest(d.Calls()); err != nil {
				return err
			}
			if made != 0 && d.Calls() != rest.Calls()+made {
				return fmt.Errorf("%d calls counted, want %d and %d", d.Calls(), rest.Calls(), made)
			}
			// What was on its way when a reload cut it off may have arrived.
			if emitted := s.backend.AllEmitted(receiver); d.Spans < emitted {
				return fmt.Errorf("%d spans arrived, %d were sent", d.Spans, emitted)
			}
			rest = d
			return nil
		})
	}
	if err := settle(0); err != nil {
		return err
	}
	made, err := s.load.Run("loop", "2", "10000")
	if err != nil {
		return err
	}
	if err := settle(made); err != nil {
		return err
	}
	fmt.Fprintf(report, "%d calls counted and %d spans arrived, in %d starts; since the last: %+v\n",
		rest.AllCalls(), rest.Spans, rest.Starts(), s.backend.SelfTelemetry(receiver))
	return nil
}
