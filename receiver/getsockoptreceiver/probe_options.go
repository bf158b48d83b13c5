// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/semconv"
)

// groupings are the values of group_by.
var groupings = map[string]probe.GroupBy{
	"service":      probe.GroupByService,
	"container":    probe.GroupByContainer,
	"systemd_unit": probe.GroupBySystemdUnit,
	"process":      probe.GroupByProcess,
	groupByHost:    probe.GroupByHost,
}

// fallbacks are the values of service_name_fallback.
var fallbacks = map[string]record.NameFallback{
	"systemd_unit": record.FallbackSystemdUnit,
	"executable":   record.FallbackExecutable,
}

// peerParts are the attributes of socket.errors that distinguish peers.
var peerParts = map[string]record.PeerParts{
	semconv.NetworkPeerAddress: record.PeerAddress,
	semconv.NetworkPeerPort:    record.PeerPort,
}

// probeOptions returns the options of the probe for the configuration and the signals.
func (i *instance) probeOptions() (probe.Options, error) {
	selected, err := i.config.selection()
	if err != nil {
		return probe.Options{}, err
	}
	o := probe.Options{
		Hook:           i.config.Hook,
		Spans:          i.nextTraces != nil,
		Parents:        i.config.Spans.Parent != parentNone,
		ValuesEnabled:  i.config.Values.Enabled,
		ValueMaxLength: i.config.Values.MaxLength,
		SamplingRatio:  i.config.Spans.SamplingRatio,
		SpansPerSecond: i.config.Spans.MaxPerSecond,
		KeepFailed:     i.config.Spans.AlwaysKeep.Failed,
		KeepSlower:     i.config.Spans.AlwaysKeep.SlowerThan,
		Selection:      selected,
		GroupBy:        groupingOf(i.config.GroupBy),
		NameFallbacks:  fallbacksOf(i.config.ServiceNameFallback),
		SeriesLimit:    i.config.CardinalityLimit,
		Logger:         i.settings.Logger,
	}
	if i.nextMetrics != nil {
		o.PeerParts = peerPartsOf(&i.config.Metrics.SocketErrors)
	}
	return o, nil
}

func groupingOf(names []string) (g probe.GroupBy) {
	if len(names) == 0 {
		return probe.GroupByHost
	}
	for _, name := range names {
		g |= groupings[name]
	}
	return g
}

func fallbacksOf(names []string) []record.NameFallback {
	var order []record.NameFallback
	for _, name := range names {
		order = append(order, fallbacks[name])
	}
	return order
}

func peerPartsOf(metric *ErrorsMetricConfig) (parts record.PeerParts) {
	if !metric.Enabled {
		return 0
	}
	for _, attribute := range metric.Attributes {
		parts |= peerParts[attribute]
	}
	return parts
}
