// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/receiver"
)

// shutdownLimit bounds a shutdown whose caller gives no deadline.
const shutdownLimit = 10 * time.Second

// instances are the receivers in use, one for each configuration. The Collector creates a
// component for each signal of a configured receiver, with the same *Config. It is safe for
// concurrent use.
type instances struct {
	mu       sync.Mutex
	byConfig map[*Config]*instance
}

// get returns the receiver of a configuration. settings and open apply to a new one.
func (m *instances) get(config *Config, settings receiver.Settings, open opener) *instance {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i, found := m.byConfig[config]; found {
		return i
	}
	i := &instance{config: config, settings: settings, open: open, started: map[pipeline.Signal]bool{}}
	i.forget = func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.byConfig[config] == i {
			delete(m.byConfig, config)
		}
	}
	m.byConfig[config] = i
	return i
}

// instance is one configured receiver with all its signals. The first signal to start opens
// the session, the last one to start completes it: it waits for the verifier while the others
// already send. The last one to shut down closes it. A signal sends nothing before its start
// and after its shutdown, because its pipeline runs only in between.
//
// mu is held during the whole of start and shutdown, up to shutdownLimit, so those of the
// other signal wait. It is locked before instances.mu.
type instance struct {
	config   *Config
	settings receiver.Settings
	open     opener
	forget   func()

	mu          sync.Mutex
	nextTraces  consumer.Traces
	nextMetrics consumer.Metrics
	started     map[pipeline.Signal]bool
	session     *session // from the first start to the last shutdown
}

func (i *instance) start(ctx context.Context, host component.Host, signal pipeline.Signal) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.session == nil {
		c, err := newSession(ctx, i)
		if err != nil {
			return err
		}
		i.session = c
	}
	i.started[signal] = true
	i.session.start(signal)
	i.session.status.addHost(host)
	if len(i.started) == i.signals() {
		i.session.complete()
	}
	return nil
}

// signals returns how many signals will start.
func (i *instance) signals() (n int) {
	if i.nextTraces != nil {
		n++
	}
	if i.nextMetrics != nil {
		n++
	}
	return n
}

// shutdown ends one signal. The first shutdown detaches the probe, so that spans and metrics
// end with the same call. What is then in the ring buffer and the maps is sent at the
// shutdown of its signal.
func (i *instance) shutdown(ctx context.Context, signal pipeline.Signal) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.started[signal] {
		if len(i.started) == 0 {
			i.forget()
		}
		return nil
	}
	if _, found := ctx.Deadline(); !found {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, shutdownLimit)
		defer cancel()
	}
	delete(i.started, signal)
	c := i.session
	c.status.stop()
	err := c.source.Detach()
	if err != nil {
		err = fmt.Errorf("detach the probe: %w", err)
	}
	err = errors.Join(err, c.finish(ctx, signal))
	if len(i.started) > 0 {
		return err
	}
	i.forget()
	i.session = nil
	return errors.Join(err, c.close(ctx))
}

// signalComponent is the component of one signal of an instance.
type signalComponent struct {
	*instance
	signal pipeline.Signal
}

// Start begins to send the signal. An error names the missing capability or kernel feature.
func (s signalComponent) Start(ctx context.Context, host component.Host) error {
	return s.start(ctx, host, s.signal)
}

// Shutdown sends the rest of the signal. It may be called before Start, and again. It
// returns before the deadline of ctx, or within shutdownLimit if ctx has none, with an
// error if not everything could be sent.
func (s signalComponent) Shutdown(ctx context.Context) error {
	return s.shutdown(ctx, s.signal)
}
