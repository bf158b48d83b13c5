// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/sampling"
)

const (
	// controlPeriod is how often the thresholds follow the load.
	controlPeriod = 100 * time.Millisecond
	// idlePeriod is how often it is looked whether there is any. A burst that
	// comes meanwhile is met by the kernel itself.
	idlePeriod = time.Second
)

// startSampling makes the controller and applies its first setting, before the
// first call can come.
func (p *Probe) startSampling() error {
	p.controller = sampling.NewController(p.options.SamplingRatio, p.options.SpansPerSecond)
	return p.applySampling(p.controller.Start())
}

func (p *Probe) applySampling(settings [sampling.Classes]sampling.Setting) error {
	var samplers [sampling.Classes]bpf.GetsockoptSampler
	for class, s := range settings {
		samplers[class] = bpf.GetsockoptSampler{Threshold: s.Threshold, Limit: s.Limit, Step: s.Step}
	}
	if err := p.collection.Variables[bpf.GetsockoptVarSamplers].Set(samplers); err != nil {
		return fmt.Errorf("set the sampling thresholds: %w", err)
	}
	return nil
}

// steer lets the thresholds follow the load until stopControl. Without a
// target there is nothing to follow.
func (p *Probe) steer() {
	if p.options.SpansPerSecond <= 0 {
		return
	}
	stop := make(chan struct{})
	p.stopLoop = stop
	p.control.Go(func() {
		ticker := time.NewTicker(controlPeriod)
		defer ticker.Stop()
		last := time.Now()
		var seen uint64
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				// Not the tick's own time: on a busy host it may be long past.
				now := time.Now()
				calls, err := p.followLoad(now.Sub(last))
				if err != nil {
					p.options.Logger.Error("the sampling thresholds stay as they are", zap.Error(err))
					return
				}
				if calls == seen {
					ticker.Reset(idlePeriod)
				} else {
					ticker.Reset(controlPeriod)
				}
				last, seen = now, calls
			}
		}
	})
}

// followLoad moves the thresholds by what the last period brought, and returns
// how many calls were sampled so far.
func (p *Probe) followLoad(elapsed time.Duration) (calls uint64, err error) {
	c, err := p.readCounters()
	if err != nil {
		return 0, err
	}
	var counts [sampling.Classes]sampling.Count
	for class := range counts {
		counts[class] = sampling.Count{Kept: c.Kept[class], SampledOut: c.SampledOut[class]}
		calls += c.Kept[class] + c.SampledOut[class]
	}
	return calls, p.applySampling(p.controller.Next(elapsed, counts))
}

// stopControl may be called again.
func (p *Probe) stopControl() {
	if p.stopLoop != nil {
		close(p.stopLoop)
		p.stopLoop = nil
	}
	p.control.Wait()
}
