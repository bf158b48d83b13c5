// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"

	"github.com/getsockopt/getsockoptreceiver/internal/metrics"
	"github.com/getsockopt/getsockoptreceiver/internal/publisher"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/traces"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// dataFormat is the name of the data format in the Collector's telemetry about received data.
const dataFormat = "ebpf"

// session is a running source with the two loops that read it, from the first start of an
// instance to its last shutdown. instance.mu guards it.
type session struct {
	source    source
	status    *status
	telemetry *telemetry
	spans     *spans // nil without a traces pipeline
	reader    *periodicReader

	publishers *publisher.Finder
	logger     *zap.Logger

	spansLoop, readerLoop *loop // nil when not running
	publishersLoop        *loop // finds what programs publish
	resourcesLoop         *loop // takes the resources that they publish
}

// newSession starts the source of an instance, and the collection, which self-telemetry
// needs with any signal.
func newSession(ctx context.Context, i *instance) (*session, error) {
	obsreport, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID:             i.settings.ID,
		Transport:              dataFormat,
		LongLivedCtx:           true,
		ReceiverCreateSettings: i.settings,
	})
	if err != nil {
		return nil, fmt.Errorf("create the telemetry of received data: %w", err)
	}
	options, err := i.probeOptions()
	if err != nil {
		return nil, err
	}
	begin, boot := time.Now(), newBootClock()
	src, err := i.open(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("collect getsockopt calls: %w", err)
	}
	own, err := newTelemetry(i.settings.ID, i.settings.TelemetrySettings)
	if err != nil {
		return nil, errors.Join(err, src.Close())
	}

	c := &session{source: src, status: newStatus(), telemetry: own, logger: i.settings.Logger}
	counted := &spanCounters{}
	procfs := workload.NewProcfs("/proc")
	exemplars := metrics.NewExemplars()
	disabled := newDisabledAttributes(&i.config.ResourceAttributes)
	groups := workload.NewGroups(procfs, boot.Time)
	if i.nextTraces != nil {
		c.spans = &spans{
			source: src, next: i.nextTraces, obsreport: obsreport, logger: i.settings.Logger,
			status: c.status, counters: counted, disabled: disabled,
			wallMinusMonotonic: wallMinusMonotonic, boot: boot, procfs: procfs,
			fallbacks: options.NameFallbacks, peerParts: options.PeerParts,
			builder: traces.New(spanOptions(i.config, i.settings.BuildInfo.Version)),
			groups:  groups, processes: newProcesses(), exemplars: exemplars,
		}
	}
	resources := publisher.NewResources(src, i.settings.Logger)
	c.publishers = publisher.New(src, publisher.Options{
		Root: "/proc", Interval: i.config.CollectionInterval,
		Parents: options.Spans && options.Parents, Logger: i.settings.Logger,
	})
	if c.spans != nil {
		c.spans.publishers, c.spans.resources = c.publishers, resources
	}
	c.resourcesLoop = startLoop(resources.Run)
	c.reader = &periodicReader{
		source: src, next: i.nextMetrics, obsreport: obsreport,
		status: c.status, telemetry: own, counters: counted, procfs: procfs, resources: resources,
		interval: i.config.CollectionInterval, hasTraces: i.nextTraces != nil, exemplars: exemplars, groups: groups, begin: begin,
		builder: metrics.New(metrics.Options{
			Version:  i.settings.BuildInfo.Version,
			Start:    begin,
			MaxBytes: metricsBytes,

			Expiration: i.config.MetricExpiration,
			Resource:   func(g record.Group) *workload.Resource { return disabled.without(groups.Resource(g)) },
			Enabled: metrics.Enabled{
				Calls:    i.config.Metrics.SocketGetsockoptCalls.Enabled,
				Duration: i.config.Metrics.SocketGetsockoptDuration.Enabled,
				Errors:   i.config.Metrics.SocketErrors.Enabled,
			},
		}),
	}
	c.readerLoop = startLoop(c.reader.run)
	return c, nil
}

// start begins to send a signal.
func (c *session) start(signal pipeline.Signal) {
	switch {
	case signal == pipeline.SignalMetrics:
		c.reader.sending.Store(true)
	case c.spansLoop == nil:
		c.spansLoop = startLoop(c.spans.run)
	}
}

// complete attaches the rest of the source, while the signals are sent already.
func (c *session) complete() {
	c.source.Complete()
	for _, reason := range c.source.Degraded() {
		c.logger.Warn("Collection is degraded", zap.Error(reason))
	}
	c.status.set(conditionSource, errors.Join(c.source.Degraded()...))
	if !c.source.RemovesPublishers() {
		return
	}
	c.publishers.Observed = c.source.ObservesContexts()
	c.publishersLoop = startLoop(c.publishers.Run)
}

// finish sends the rest of a signal and ends its loop.
func (c *session) finish(ctx context.Context, signal pipeline.Signal) error {
	ending := &c.spansLoop
	if signal == pipeline.SignalMetrics {
		ending = &c.readerLoop
	}
	return c.end(ctx, ending, signal.String())
}

func (c *session) end(ctx context.Context, ending **loop, what string) error {
	l := *ending
	if l == nil {
		return nil
	}
	*ending = nil
	if err := l.finish(ctx); err != nil {
		return fmt.Errorf("send the remaining %s: %w", what, err)
	}
	return nil
}

// close ends the remaining loop, updates the accounting a last time, and frees the source.
func (c *session) close(ctx context.Context) error {
	err := c.end(ctx, &c.readerLoop, "metrics")
	for _, l := range []*loop{c.publishersLoop, c.resourcesLoop} {
		if l == nil {
			continue
		}
		if ended := l.finish(ctx); ended != nil {
			err = errors.Join(err, fmt.Errorf("end the search for what programs publish: %w", ended))
		}
	}
	err = errors.Join(err, c.reader.close())
	c.telemetry.stopped.Store(true)
	if closed := c.source.Close(); closed != nil {
		err = errors.Join(err, fmt.Errorf("close the probe: %w", closed))
	}
	return err
}
