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
	// controlPeriod is how often the thresholds are adjusted under load.
	controlPeriod = 100 * time.Millisecond
	// idlePeriod is how often the load is checked without any calls. The BPF programs
	// themselves bound a burst that begins meanwhile.
	idlePeriod = time.Second
)

// startSampling creates the controller and applies its first settings, before the first
// call can be observed.
func (p *Probe) startSampling() error {
	p.controller = sampling.NewClassController(p.options.SamplingRatio, p.options.SpansPerSecond)
	return p.applySampling(p.controller.Start())
}

func (p *Probe) applySampling(settings [sampling.Classes]sampling.ClassSetting) error {
	var samplers [sampling.Classes]bpf.GetsockoptSampler
	for class, s := range settings {
		samplers[class] = bpf.GetsockoptSampler{Threshold: s.Threshold, Limit: s.Limit, Step: s.Step}
	}
	if err := p.collection.Variables[bpf.GetsockoptVarSamplers].Set(samplers); err != nil {
		return fmt.Errorf("set the sampling thresholds: %w", err)
	}
	return nil
}

// startControlLoop adjusts the thresholds to the load until stopControlLoop. Without a
// target there is nothing to adjust. An error ends the loop: the thresholds then stay as
// they are.
func (p *Probe) startControlLoop() {
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
				// Not the time of the tick, which may be long past on a busy host.
				now := time.Now()
				calls, err := p.adjustThresholds(now.Sub(last))
				if err != nil {
					p.options.Logger.Error("Cannot update the sampling thresholds, keeping the last ones", zap.Error(err))
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

// adjustThresholds adjusts the thresholds to the calls of the last period, and returns
// the number of all calls that sampling has decided on.
func (p *Probe) adjustThresholds(elapsed time.Duration) (calls uint64, err error) {
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

// stopControlLoop may be called again.
func (p *Probe) stopControlLoop() {
	if p.stopLoop != nil {
		close(p.stopLoop)
		p.stopLoop = nil
	}
	p.control.Wait()
}
