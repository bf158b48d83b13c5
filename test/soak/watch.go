// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
	"github.com/getsockopt/getsockoptreceiver/test/resilience/rig"
)

// What a Collector may have, on whichever host. The numbers are far above what
// it takes and far below what a leak comes to.
const (
	mostMemory      = 768 << 20
	moreDescriptors = 24 // connections come and go
	moreGoroutines  = 64
)

// sample is how the Collector fares.
type sample struct {
	memory                  int64
	descriptors, goroutines int
	objects                 int // of the kernel, held
	telemetry               rig.SelfTelemetry
}

// watch keeps the first sample, the last and the most of each.
type watch struct {
	environment       *environment
	first, last, most sample
}

func (w *watch) look() error {
	pid := w.environment.collector.PID()
	if w.environment.collector.Ended() {
		return fmt.Errorf("the Collector has ended\n%s", w.environment.collector.Output())
	}
	var s sample
	var err error
	if s.memory, err = rig.Resident(pid); err != nil {
		return err
	}
	if s.descriptors, err = rig.Descriptors(pid); err != nil {
		return err
	}
	held, err := rig.HeldBy(pid)
	if err != nil {
		return err
	}
	s.objects = len(held)
	if s.goroutines, err = goroutines(w.environment.pprof); err != nil {
		return err
	}
	s.telemetry = w.environment.backend.SelfTelemetry(receiver)
	if w.first.memory == 0 {
		w.first = s
	}
	w.last = s
	w.most.memory = max(w.most.memory, s.memory)
	w.most.descriptors = max(w.most.descriptors, s.descriptors)
	w.most.goroutines = max(w.most.goroutines, s.goroutines)
	return nil
}

// goroutines asks the Collector's pprof extension, which is away during a
// reload.
func goroutines(address string) (n int, err error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	err = harness.Await(limit, func() error {
		answer, err := client.Get("http://" + address + "/debug/pprof/goroutine?debug=1")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		_, err = fmt.Fscanf(answer.Body, "goroutine profile: total %d\n", &n)
		return err
	})
	return n, err
}

func (w *watch) print(report io.Writer, at time.Duration, fault string) {
	s := w.last
	fmt.Fprintf(report, "%6.1fs  %-8s  %4d MiB  %3d descriptors  %3d goroutines  series %d/%d  groups %d/%d  ring %d/%d KiB  seen %d\n",
		at.Seconds(), fault, s.memory>>20, s.descriptors, s.goroutines,
		s.telemetry.Series, s.telemetry.SeriesLimit, s.telemetry.Groups, s.telemetry.GroupsLimit, s.telemetry.RingUsed>>10, s.telemetry.RingSize>>10, s.telemetry.Seen)
}

// end looks a last time, when nothing happens any more, for what has grown.
func (w *watch) end(report io.Writer) error {
	err := harness.Await(limit, func() error {
		if err := w.look(); err != nil {
			return err
		}
		switch {
		case w.last.objects != w.first.objects:
			return fmt.Errorf("%d objects of the kernel are held, %d at first", w.last.objects, w.first.objects)
		case w.last.descriptors > w.first.descriptors+moreDescriptors:
			return fmt.Errorf("%d descriptors, %d at first", w.last.descriptors, w.first.descriptors)
		case w.last.goroutines > w.first.goroutines+moreGoroutines:
			return fmt.Errorf("%d goroutines, %d at first", w.last.goroutines, w.first.goroutines)
		}
		return nil
	})
	fmt.Fprintf(report, "at the end %d MiB, %d descriptors, %d goroutines; at most %d MiB, %d, %d\n",
		w.last.memory>>20, w.last.descriptors, w.last.goroutines, w.most.memory>>20, w.most.descriptors, w.most.goroutines)
	if err == nil && w.most.memory > mostMemory {
		err = fmt.Errorf("%d MiB of memory", w.most.memory>>20)
	}
	return err
}
