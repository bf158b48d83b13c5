// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
)

// A gRPC server takes messages of 4 MiB unless it is told otherwise, and refuses
// larger ones for good. Processors add to each resource on the way there, of
// which metrics may have thousands to the MiB, and a batch of spans 1024.
const (
	metricsBytes = 1 << 20
	spansBytes   = 2 << 20
)

// retryLimit is how long one batch is offered to a consumer that refuses it.
// The ring, meanwhile, is not read: it holds a few seconds of a busy host.
const retryLimit = 5 * time.Second

// deliver calls send until it succeeds, fails for good, or was refused for the
// length of limit. It returns send's last error, or why ctx ended.
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

// refusal says why a batch was given up after deliver failed with err.
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

// heldTraces keeps batches from being recycled while they may be offered again:
// with the feature gate pdata.useProtoPooling a pipeline gives the memory of a
// batch away when its consumer returns, also when it refused the batch.
type heldTraces []ptrace.Traces

func (h *heldTraces) hold(batch ptrace.Traces) {
	pref.RefTraces(batch)
	*h = append(*h, batch)
}

// release lets go of them, after the last try.
func (h *heldTraces) release() {
	for _, batch := range *h {
		pref.UnrefTraces(batch)
	}
}
