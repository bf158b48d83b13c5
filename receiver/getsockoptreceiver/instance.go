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

// instances holds the receivers that are in use, one for each configuration.
// The Collector asks for a component for each signal of a configured receiver,
// and hands over the same *Config for all of them.
type instances struct {
	mu       sync.Mutex
	byConfig map[*Config]*instance
}

// get returns the receiver of a configuration. Settings count for a new one.
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

// instance is one configured receiver, whatever its signals. The first signal
// to start opens the collection, the last to stop closes it. A signal
// sends nothing before its own start and after its own shutdown, since the
// Collector promises no more than that its pipeline runs in between.
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
	return nil
}

// shutdown ends one signal. The first one detaches from the kernel, so that
// spans and metrics end with the same call; what is in the ring and the maps
// then still reaches its pipeline, each signal's at its own shutdown.
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
		err = fmt.Errorf("detach: %w", err)
	}
	err = errors.Join(err, c.finish(ctx, signal))
	if len(i.started) > 0 {
		return err
	}
	i.forget()
	i.session = nil
	return errors.Join(err, c.close(ctx))
}

// signalComponent is what the Collector starts and stops: one signal of an
// instance.
type signalComponent struct {
	*instance
	signal pipeline.Signal
}

// Start begins to send the signal. Its error names what is missing.
func (s signalComponent) Start(ctx context.Context, host component.Host) error {
	return s.start(ctx, host, s.signal)
}

// Shutdown sends what is left of the signal. It may come before Start and may
// be repeated. It returns by ctx's deadline, or within shutdownLimit without
// one, and says if something could not be sent by then.
func (s signalComponent) Shutdown(ctx context.Context) error {
	return s.shutdown(ctx, s.signal)
}
