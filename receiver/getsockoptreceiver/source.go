// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"context"
	"time"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/publisher"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// source is the source of calls: a *probe.Probe, or a fake in tests. Its methods are safe for
// concurrent use, except Read, which one goroutine may call at a time.
type source interface {
	// Complete attaches what is not necessary to observe system calls. It is called once.
	Complete()
	// Hook returns the hook in use, as the configuration spells it.
	Hook() string
	// Degraded returns the reasons for which calls are not observed; empty if there is none.
	Degraded() []error
	// Uncovered returns the entry points whose calls are not observed.
	Uncovered() []record.Entry
	// Read passes up to limit records to h and returns their number. It may wait for them
	// until the deadline; fewer than limit is no error. With a deadline in the past it does
	// not wait. After Close it returns an error that wraps os.ErrClosed, also if it was
	// waiting.
	Read(deadline time.Time, limit int, h probe.Handler) (int, error)
	// Sleep waits until there are records, stop is closed, ctx is done, or Close is called. It
	// is for the goroutine that calls Read.
	Sleep(ctx context.Context, stop <-chan struct{})
	// Group returns a group of the kernel, if it still has it.
	Group(id uint32) (record.Group, bool)
	// RemovesPublishers reports whether processes that are published are removed as they
	// exit. Without that none may be.
	RemovesPublishers() bool
	// ObservesContexts reports whether each process that publishes a context is among the
	// notices.
	ObservesContexts() bool
	// What programs publish is found with these.
	publisher.Source
	publisher.Contexts
	// Snapshot reads the counters, and the calls of series since the previous snapshot. Calls
	// of a snapshot that fails are in the next one. It returns an error after Close.
	Snapshot() (record.Snapshot, error)
	// Remove frees the slots of series, and groups, that metrics no longer need. It keeps the
	// slots that have counted calls since the last snapshot, and groups with slots, such calls
	// or a running process. Keys that do not exist are ignored. It returns an error after Close.
	Remove(series []record.SeriesKey, groups []uint32) error
	// Detach detaches the programs. The ring buffer and the series can be read until Close.
	// It may be called again.
	Detach() error
	// Close detaches and frees everything. It may be called again.
	Close() error
}

// opener opens a source. An error names everything that is missing.
type opener func(context.Context, probe.Options) (source, error)

func openProbe(ctx context.Context, o probe.Options) (source, error) {
	p, err := probe.Open(ctx, o)
	if err != nil {
		return nil, err // not p: a nil *probe.Probe would make a source that is not nil
	}
	return p, nil
}
