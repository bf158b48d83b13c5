// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.opentelemetry.io/collector/consumer/consumererror"
)

// The sizes at which batches end. A gRPC server accepts messages of 4 MiB by default, and
// permanently refuses larger ones. Processors on the way add to each resource, of which
// there may be thousands in a MiB of metrics, and 512 in a batch of spans.
const (
	metricsBytes = 1 << 20
	spansBytes   = 2 << 20
)

// retryLimit is how long a batch is offered to a consumer that refuses it. Meanwhile the
// ring buffer is not read, which holds the calls of a few seconds on a busy host.
const retryLimit = 5 * time.Second

// deliver calls send until it succeeds, fails permanently, or has failed for the time
// limit. It returns the last error of send, or the error of ctx.
//
// Receivers should leave batching and retrying to processors and exporters. This one cannot:
// calls continue, so the ring buffer cannot be paused, and nobody can send a call again. A
// batch that is refused and not offered again is lost. And records arrive one by one, while
// a consumer should not be called for each of them. Retries are bounded by retryLimit, and
// each lost span is counted.
func deliver(ctx context.Context, limit time.Duration, send func(context.Context) error) error {
	pause := &backoff.ExponentialBackOff{
		InitialInterval:     20 * time.Millisecond,
		MaxInterval:         time.Second,
		Multiplier:          2,
		RandomizationFactor: backoff.DefaultRandomizationFactor,
	}
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := send(ctx)
		if err != nil && consumererror.IsPermanent(err) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(limit))
	return err
}

// lossReasonFor returns the reason for which the spans of a batch are lost, after deliver
// failed with err.
func lossReasonFor(ctx context.Context, err error) lossReason {
	switch {
	case consumererror.IsPermanent(err):
		return lostConsumerPermanent
	case ctx.Err() != nil:
		return lostShutdown
	default:
		return lostConsumerRefused
	}
}
