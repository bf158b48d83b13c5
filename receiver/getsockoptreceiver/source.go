// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"context"
	"time"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// source is where calls come from: a *probe.Probe, or a test.
type source interface {
	// Hook names the hook in use, as the configuration spells it.
	Hook() string
	// Degraded says what narrows the collection; empty when nothing does.
	Degraded() []error
	// Uncovered are the doors that calls may come through uncovered.
	Uncovered() []record.Entry
	// Read hands up to limit records to h and returns how many there were; it
	// may wait for them until the deadline. Fewer, or none, by then is no
	// error. A deadline in the past takes what is there. After Close it returns
	// an error that wraps os.ErrClosed, from a Read that is under way too.
	Read(deadline time.Time, limit int, h probe.Handler) (int, error)
	// Snapshot reads the series and counters. It may run beside all others, and
	// fails after Close.
	Snapshot() (record.Snapshot, error)
	// Detach ends the production of records; those in the ring stay, and so do
	// the series. It may be repeated.
	Detach() error
	// Close frees everything. It may be repeated.
	Close() error
}

// opener starts a source. Its error names all that is missing.
type opener func(context.Context, probe.Options) (source, error)

func openProbe(ctx context.Context, o probe.Options) (source, error) {
	p, err := probe.Start(ctx, o)
	if err != nil {
		return nil, err // not p: a nil *probe.Probe would make a source that is not nil
	}
	return p, nil
}
