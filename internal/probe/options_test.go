// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

func TestStartValidatesOptions(t *testing.T) {
	for name, test := range map[string]struct {
		option string
		set    func(*Options)
	}{
		"values without a length":  {"ValueMaxLength", func(o *Options) { o.ValueMaxLength = 0 }},
		"negative length":          {"ValueMaxLength", func(o *Options) { o.ValueMaxLength = -1 }},
		"length too large":         {"ValueMaxLength", func(o *Options) { o.ValueMaxLength = 4097 }},
		"negative ratio":           {"SamplingRatio", func(o *Options) { o.SamplingRatio = -0.1 }},
		"ratio above 1":            {"SamplingRatio", func(o *Options) { o.SamplingRatio = 1.1 }},
		"ratio not a number":       {"SamplingRatio", func(o *Options) { o.SamplingRatio = math.NaN() }},
		"negative rate":            {"SpansPerSecond", func(o *Options) { o.SpansPerSecond = -1 }},
		"infinite rate":            {"SpansPerSecond", func(o *Options) { o.SpansPerSecond = math.Inf(1) }},
		"rate not a number":        {"SpansPerSecond", func(o *Options) { o.SpansPerSecond = math.NaN() }},
		"negative duration":        {"KeepSlower", func(o *Options) { o.KeepSlower = -1 }},
		"unknown grouping":         {"GroupBy", func(o *Options) { o.GroupBy = GroupByHost << 1 }},
		"host and another":         {"GroupBy", func(o *Options) { o.GroupBy = GroupByHost | GroupByService }},
		"three fallbacks":          {"NameFallbacks", func(o *Options) { o.NameFallbacks = make([]record.NameFallback, 3) }},
		"negative series":          {"SeriesLimit", func(o *Options) { o.SeriesLimit = -1 }},
		"too many series":          {"SeriesLimit", func(o *Options) { o.SeriesLimit = maxSeries + 1 }},
		"negative groups":          {"GroupLimit", func(o *Options) { o.GroupLimit = -1 }},
		"too many groups":          {"GroupLimit", func(o *Options) { o.GroupLimit = maxGroups + 1 }},
		"negative ring":            {"RingBytes", func(o *Options) { o.RingBytes = math.MinInt }},
		"ring below a page":        {"RingBytes", func(o *Options) { o.RingBytes = os.Getpagesize() / 2 }},
		"ring of three pages":      {"RingBytes", func(o *Options) { o.RingBytes = 3 * os.Getpagesize() }},
		"ring too large":           {"RingBytes", func(o *Options) { o.RingBytes = 2 * maxRingBytes }},
		"unknown hook":             {"hook", func(o *Options) { o.Hook = "uprobe" }},
		"first of several options": {"ValueMaxLength", func(o *Options) { o.ValueMaxLength, o.SamplingRatio = 0, 2 }},
	} {
		t.Run(name, func(t *testing.T) {
			o := spans(HookAuto)
			test.set(&o)
			p, err := Start(context.Background(), o)
			if err == nil {
				t.Fatal("started", p.Close())
			}
			if got := err.Error(); !strings.Contains(got, test.option) || strings.Contains(got, "\n") {
				t.Errorf("error %q, want one that names %s", got, test.option)
			}
		})
	}
}

// The limits themselves are valid, and the length of values that are not read has no
// effect.
func TestValidOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"zero":     {},
		"smallest": {ValuesEnabled: true, ValueMaxLength: 1, SeriesLimit: 1, GroupLimit: 1, RingBytes: os.Getpagesize()},
		"largest": {
			ValuesEnabled: true, ValueMaxLength: maxValueLength, SamplingRatio: 1, SpansPerSecond: math.MaxFloat64,
			KeepSlower: math.MaxInt64, GroupBy: GroupByHost, SeriesLimit: maxSeries, GroupLimit: maxGroups, RingBytes: maxRingBytes,
		},
		"values disabled": {ValueMaxLength: -1},
	} {
		t.Run(name, func(t *testing.T) {
			o.setDefaults()
			if err := o.validate(); err != nil {
				t.Error(err)
			}
		})
	}
}
