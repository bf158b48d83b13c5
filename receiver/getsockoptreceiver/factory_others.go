// SPDX-License-Identifier: Apache-2.0

//go:build !linux || !(amd64 || arm64)

package getsockoptreceiver

import (
	"context"
	"fmt"
	"runtime"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/getsockopt/getsockoptreceiver/receiver/getsockoptreceiver/internal/metadata"
)

// NewFactory returns a factory that validates configurations. Creating a receiver is an
// error, because the receiver does not support this platform. So a distribution can include
// it on every platform.
func NewFactory() receiver.Factory {
	return receiver.NewFactory(metadata.Type, createDefaultConfig,
		receiver.WithTraces(func(context.Context, receiver.Settings, component.Config, consumer.Traces) (receiver.Traces, error) {
			return nil, errNotSupported()
		}, metadata.TracesStability),
		receiver.WithMetrics(func(context.Context, receiver.Settings, component.Config, consumer.Metrics) (receiver.Metrics, error) {
			return nil, errNotSupported()
		}, metadata.MetricsStability))
}

func errNotSupported() error {
	return fmt.Errorf("the receiver %s is not supported on %s/%s: it runs on linux/amd64 and linux/arm64", metadata.Type, runtime.GOOS, runtime.GOARCH)
}
