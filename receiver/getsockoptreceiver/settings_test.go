// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/traces"
	"github.com/getsockopt/getsockoptreceiver/receiver/getsockoptreceiver/internal/metadata"
)

// The settings of a group that turn something on or off, by their keys.
func switches[T any]() (keys []string) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		if key := f.Tag.Get("mapstructure"); key != "" {
			keys = append(keys, key)
		}
	}
	return keys
}

func turnOff(t *testing.T, c *Config, group, key string) {
	t.Helper()
	conf := confmap.NewFromStringMap(map[string]any{group: map[string]any{key: map[string]any{"enabled": false}}})
	require.NoError(t, conf.Unmarshal(c))
}

func TestEachResourceAttributeCanBeTurnedOff(t *testing.T) {
	for _, key := range switches[metadata.ResourceAttributesConfig]() {
		t.Run(key, func(t *testing.T) {
			c := createDefaultConfig().(*Config)
			turnOff(t, c, "resource_attributes", key)
			assert.Equal(t, disabledAttributes{key: {}}, newDisabledAttributes(&c.ResourceAttributes))
		})
	}
}

// Groups that differ by what is turned off alone are one resource, with their sum.
func TestGroupsWithoutWhatTellsThemApart(t *testing.T) {
	next := &sink{}
	r := newRig(t, next, next)
	turnOff(t, r.config, "resource_attributes", "container.id")
	turnOff(t, r.config, "resource_attributes", "service.instance.id")
	r.source.snapshot.Series, r.source.snapshot.Groups = nil, map[uint32]record.Group{}
	for id := range uint32(3) {
		series := record.Series{SeriesKey: record.SeriesKey{Group: id + 1, Level: unix.SOL_SOCKET, Option: unix.SO_TYPE}, Sum: 500, Buckets: make([]uint64, histogram.Buckets)}
		series.Buckets[3] = 2
		r.source.snapshot.Series = append(r.source.snapshot.Series, series)
		r.source.snapshot.Groups[id+1] = record.Group{
			ID: id + 1, Origin: record.OriginService | record.OriginServiceName | record.OriginContainer, Name: "shop", ContainerID: strconv.Itoa(int(id)),
		}
	}
	r.start(t)
	r.shutdown(t)
	require.Equal(t, 1, next.last.ResourceMetrics().Len())
	resource := next.last.ResourceMetrics().At(0)
	assert.Equal(t, map[string]any{"service.name": "shop"}, resource.Resource().Attributes().AsRaw())
	for _, m := range resource.ScopeMetrics().At(0).Metrics().All() {
		if m.Name() == "socket.getsockopt.calls" {
			points := m.Sum().DataPoints() // a series begins with a point of 0
			assert.Equal(t, int64(6), points.At(points.Len()-1).IntValue())
		}
	}
}

func TestEachMetricCanBeTurnedOff(t *testing.T) {
	all := switches[MetricsConfig]()
	for _, key := range all {
		t.Run(key, func(t *testing.T) {
			next := &sink{}
			r := newRig(t, next, next)
			turnOff(t, r.config, "metrics", key)
			pending := record.Series{
				SeriesKey: record.SeriesKey{Group: 1, Level: unix.SOL_SOCKET, Option: unix.SO_ERROR, Error: uint16(unix.ECONNREFUSED), Pending: true},
				Sum:       500, Buckets: make([]uint64, histogram.Buckets),
			}
			pending.Buckets[3] = 1
			r.source.snapshot.Series = []record.Series{pending}
			r.start(t)
			r.shutdown(t)
			var sent []string
			for _, m := range next.last.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
				sent = append(sent, m.Name())
			}
			assert.ElementsMatch(t, slices.DeleteFunc(slices.Clone(all), func(k string) bool { return k == key }), sent)
		})
	}
}

// Each option of the probe comes from a setting, but for those that have none.
func TestSettingsReachTheProbe(t *testing.T) {
	r := newRig(t, &sink{}, &sink{})
	c := r.config
	c.Hook, c.GroupBy, c.CardinalityLimit = probe.HookKprobe, []string{"container"}, 7
	c.Select.Users = []int{33}
	c.Spans.SamplingRatio, c.Spans.MaxPerSecond = 0.25, 5
	c.Spans.AlwaysKeep.SlowerThan = time.Second
	c.Values.MaxLength = 64
	c.Metrics.SocketErrors.Attributes = []string{"network.peer.port"}
	r.start(t)
	r.shutdown(t)
	withoutSetting := []string{"GroupLimit", "RingBytes", "OBIMap", "shards", "sleepPeriod"}
	got := reflect.ValueOf(r.source.options)
	for _, f := range reflect.VisibleFields(got.Type()) {
		if set := !got.FieldByIndex(f.Index).IsZero(); set == slices.Contains(withoutSetting, f.Name) {
			t.Errorf("%s is set: %t", f.Name, set)
		}
	}
	selected, err := c.selection()
	require.NoError(t, err)
	want := probe.Options{
		Hook: probe.HookKprobe, Spans: true, Parents: true, ValuesEnabled: true, ValueMaxLength: 64,
		SamplingRatio: 0.25, SpansPerSecond: 5, KeepFailed: true, KeepSlower: time.Second,
		Selection: selected, PeerParts: record.PeerPort, GroupBy: probe.GroupByContainer, SeriesLimit: 7,
		NameFallbacks: []record.NameFallback{record.FallbackSystemdUnit, record.FallbackExecutable}, Logger: r.source.options.Logger,
	}
	assert.Equal(t, want, r.source.options)
}

// Without parents the probe reads no contexts, whatever else is set.
func TestParentNoneReachesTheProbe(t *testing.T) {
	r := newRig(t, &sink{}, nil)
	r.config.Spans.Parent = parentNone
	r.start(t)
	r.shutdown(t)
	assert.False(t, r.source.options.Parents)
}

func TestSettingsReachTheSpans(t *testing.T) {
	for key, test := range map[string]struct {
		set  func(*Config)
		want func(*traces.Options)
	}{
		"nothing":                    {func(*Config) {}, func(*traces.Options) {}},
		"values.enabled":             {func(c *Config) { c.Values.Enabled = false }, func(o *traces.Options) { o.ValuesEnabled = false }},
		"values.expand":              {func(c *Config) { c.Values.Expand = []string{"TCP_INFO"} }, func(o *traces.Options) { o.Expand["TCP_INFO"] = true }},
		"spans.parent":               {func(c *Config) { c.Spans.Parent = parentSampled }, func(o *traces.Options) { o.SampledParents = true }},
		"spans.pending_error_status": {func(c *Config) { c.Spans.PendingErrorStatus = false }, func(o *traces.Options) { o.PendingErrorStatus = false }},
		"span_attributes":            {func(c *Config) { c.SpanAttributes.SocketState.Enabled = true }, func(o *traces.Options) { o.Always.State = true }},
	} {
		t.Run(key, func(t *testing.T) {
			c := createDefaultConfig().(*Config)
			test.set(c)
			want := traces.Options{Version: "1.2.3", ValuesEnabled: true, PendingErrorStatus: true, Expand: map[string]bool{}}
			test.want(&want)
			assert.Equal(t, want, spanOptions(c, "1.2.3"))
		})
	}
}
