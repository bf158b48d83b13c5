// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"context"
	"time"
)

// loop is a goroutine that ends in two steps: finish closes stop, and shortly before the
// deadline the context of the loop ends, so that it sends nothing more.
type loop struct {
	stop   chan struct{}
	done   chan struct{}
	cancel context.CancelFunc
}

// startLoop runs a function that must return soon after its context is done, and when it
// has completed its work after stop was closed.
func startLoop(run func(ctx context.Context, stop <-chan struct{})) *loop {
	ctx, cancel := context.WithCancel(context.Background())
	l := &loop{stop: make(chan struct{}), done: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(l.done)
		defer cancel()
		run(ctx, l.stop)
	}()
	return l
}

// finish ends the loop and waits for it. If ctx is done first, it returns the error of ctx.
// It must be called once.
func (l *loop) finish(ctx context.Context) error {
	close(l.stop)
	sending, release := beforeDeadline(ctx)
	defer release()
	defer context.AfterFunc(sending, l.cancel)()
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// beforeDeadline returns a context that ends shortly before ctx, which leaves time to
// return.
func beforeDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, found := ctx.Deadline()
	if !found {
		return context.WithCancel(ctx)
	}
	margin := min(time.Until(deadline)/4, time.Second)
	return context.WithDeadline(ctx, deadline.Add(-margin))
}
