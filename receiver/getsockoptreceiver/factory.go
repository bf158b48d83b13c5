// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/receiver"

	"github.com/getsockopt/getsockoptreceiver/receiver/getsockoptreceiver/internal/metadata"
)

// NewFactory returns the factory of the receiver of type getsockopt, for traces and
// metrics. The components that it creates for one *Config share a probe.
func NewFactory() receiver.Factory { return newFactory(openProbe) }

func newFactory(open opener) receiver.Factory {
	shared := &instances{byConfig: map[*Config]*instance{}}
	return receiver.NewFactory(metadata.Type, createDefaultConfig,
		receiver.WithTraces(func(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Traces) (receiver.Traces, error) {
			return shared.get(cfg.(*Config), set, open).traces(next), nil
		}, metadata.TracesStability),
		receiver.WithMetrics(func(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Metrics) (receiver.Metrics, error) {
			return shared.get(cfg.(*Config), set, open).metrics(next), nil
		}, metadata.MetricsStability))
}

func (i *instance) traces(next consumer.Traces) receiver.Traces {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.nextTraces = next
	return signalComponent{i, pipeline.SignalTraces}
}

func (i *instance) metrics(next consumer.Metrics) receiver.Metrics {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.nextMetrics = next
	return signalComponent{i, pipeline.SignalMetrics}
}
