// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package getsockoptreceiver

import (
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/traces"
)

func load(t *testing.T, file string) *confmap.Conf {
	t.Helper()
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", file))
	require.NoError(t, err)
	return conf
}

func TestConfigFromYAML(t *testing.T) {
	all := createDefaultConfig().(*Config)
	all.Hook = "tracepoint"
	all.CollectionInterval = time.Second
	all.GroupBy = []string{"service", "container"}
	all.ServiceNameFallback = []string{"executable"}
	all.MetricExpiration = 2 * time.Second
	all.CardinalityLimit = 100
	all.Select = SelectConfig{
		Options: []string{"SOL_SOCKET/SO_ERROR", "IPPROTO_TCP/*"}, Executables: []string{"nginx*"},
		Containers: []string{"0123abcd"}, SystemdUnits: []string{"shop-*.service"}, Users: []int{0, 33}, Exclude: ExcludeConfig{Executables: []string{"sshd"}},
	}
	all.Spans = SpansConfig{Parent: "sampled", SamplingRatio: 0.25, AlwaysKeep: AlwaysKeepConfig{SlowerThan: 5 * time.Millisecond}}
	all.Values = ValuesConfig{Enabled: true, MaxLength: 4096, Expand: []string{"TCP_INFO"}}
	all.Metrics.SocketGetsockoptDuration.Enabled = false
	all.Metrics.SocketErrors = ErrorsMetricConfig{Attributes: []string{"error.type", "network.peer.address"}}
	all.SpanAttributes.SocketOptionCode.Enabled = true

	conf := load(t, "config.yaml")
	for name, want := range map[string]*Config{
		"getsockopt":     createDefaultConfig().(*Config),
		"getsockopt/all": all,
	} {
		t.Run(name, func(t *testing.T) {
			sub, err := conf.Sub(name)
			require.NoError(t, err)
			got := createDefaultConfig().(*Config)
			require.NoError(t, sub.Unmarshal(got))
			require.NoError(t, confmap.Validate(got))
			// It remembers, unexported, that a user has set it.
			assert.Equal(t, name == "getsockopt", got.ResourceAttributes.ProcessExecutablePath.Enabled)
			got.ResourceAttributes.ProcessExecutablePath = want.ResourceAttributes.ProcessExecutablePath
			assert.Equal(t, want, got)
		})
	}
}

func TestConfigDefaults(t *testing.T) {
	c := createDefaultConfig().(*Config)
	assert.Equal(t, "auto", c.Hook)
	assert.Equal(t, 10*time.Second, c.CollectionInterval)
	assert.Equal(t, 15*time.Minute, c.MetricExpiration)
	assert.True(t, c.Spans.PendingErrorStatus)
	assert.Equal(t, 1.0, c.Spans.SamplingRatio)
	assert.Equal(t, 100.0, c.Spans.MaxPerSecond)
	assert.Equal(t, AlwaysKeepConfig{Failed: true}, c.Spans.AlwaysKeep)
	assert.Equal(t, []string{"service"}, c.GroupBy)
	assert.Equal(t, []string{"systemd_unit", "executable"}, c.ServiceNameFallback)
	assert.Equal(t, 2000, c.CardinalityLimit)
	assert.Equal(t, NewDefaultValuesConfig(), c.Values)
	assert.Empty(t, newDisabledAttributes(&c.ResourceAttributes), "every resource attribute is on")
	assert.Zero(t, newAlways(c), "no span attribute repeats another")
}

// TestSpanAttributes: each setting is one attribute of a span.
func TestSpanAttributes(t *testing.T) {
	settings := reflect.TypeFor[SpanAttributesConfig]()
	seen := map[traces.Always]string{{}: "none"}
	for i := range settings.NumField() {
		key := settings.Field(i).Tag.Get("mapstructure")
		if key == "" {
			continue
		}
		c := createDefaultConfig().(*Config)
		conf := confmap.NewFromStringMap(map[string]any{"span_attributes": map[string]any{key: map[string]any{"enabled": true}}})
		require.NoError(t, conf.Unmarshal(c))
		always := newAlways(c)
		assert.Empty(t, seen[always], "%s does what another setting does", key)
		seen[always] = key
	}
	assert.Len(t, seen, 1+reflect.TypeFor[traces.Always]().NumField())

	// The resource does not name the namespace, so spans do.
	c := createDefaultConfig().(*Config)
	c.ResourceAttributes.SocketCallerNetworkNamespace.Enabled = false
	assert.Equal(t, traces.Always{NetworkNamespace: true}, newAlways(c))
}

// TestConfigKnowsTheProbe: the configuration does without the kernel side, and
// must name the same hooks and groupings.
func TestConfigKnowsTheProbe(t *testing.T) {
	for _, hook := range []string{probe.HookAuto, probe.HookFentry, probe.HookKprobe, probe.HookTracepoint, probe.HookRawTracepoint} {
		require.NoError(t, validateHook(hook))
	}
	for groupBy := range groupings {
		require.NoError(t, validateGroupBy([]string{groupBy}))
	}
	for _, groupBy := range []string{"service", "container", "systemd_unit", "process", "host"} {
		require.Contains(t, groupings, groupBy)
	}
	for fallback := range fallbacks {
		require.NoError(t, validateServiceNameFallback([]string{fallback}))
	}
	for _, fallback := range []string{"systemd_unit", "executable"} {
		require.Contains(t, fallbacks, fallback)
	}
}

// One name alone is a list of one, and an empty list replaces the default.
func TestGroupings(t *testing.T) {
	for name, test := range map[string]struct {
		value any
		want  probe.GroupBy
	}{
		"a name":         {"container", probe.GroupByContainer},
		"host":           {"host", probe.GroupByHost},
		"nothing":        {[]any{}, probe.GroupByHost},
		"host in a list": {[]any{"host"}, probe.GroupByHost},
		"a list of one":  {[]any{"process"}, probe.GroupByProcess},
		"all of them": {
			[]any{"process", "systemd_unit", "container", "service"},
			probe.GroupByService | probe.GroupByContainer | probe.GroupBySystemdUnit | probe.GroupByProcess,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := createDefaultConfig().(*Config)
			require.NoError(t, confmap.NewFromStringMap(map[string]any{"group_by": test.value}).Unmarshal(c))
			require.NoError(t, confmap.Validate(c))
			assert.Equal(t, test.want, groupingOf(c.GroupBy))
		})
	}
}

func TestFallbacks(t *testing.T) {
	for name, test := range map[string]struct {
		value any
		want  []record.NameFallback
	}{
		"reversed": {[]any{"executable", "systemd_unit"}, []record.NameFallback{record.FallbackExecutable, record.FallbackSystemdUnit}},
		"one":      {[]any{"systemd_unit"}, []record.NameFallback{record.FallbackSystemdUnit}},
		"none":     {[]any{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := createDefaultConfig().(*Config)
			require.NoError(t, confmap.NewFromStringMap(map[string]any{"service_name_fallback": test.value}).Unmarshal(c))
			require.NoError(t, confmap.Validate(c))
			assert.Equal(t, test.want, fallbacksOf(c.ServiceNameFallback))
		})
	}
}

// What users do not take distinguishes no series.
func TestPeerParts(t *testing.T) {
	for name, test := range map[string]struct {
		settings map[string]any
		want     record.PeerParts
	}{
		"default":               {map[string]any{}, 0},
		"both":                  {map[string]any{"attributes": []any{"error.type", "network.peer.address", "network.peer.port"}}, record.PeerAddress | record.PeerPort},
		"without what is there": {map[string]any{"attributes": []any{"network.peer.port"}}, record.PeerPort},
		"nothing":               {map[string]any{"attributes": []any{}}, 0},
		"disabled":              {map[string]any{"enabled": false, "attributes": []any{"network.peer.address"}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := createDefaultConfig().(*Config)
			conf := confmap.NewFromStringMap(map[string]any{"metrics": map[string]any{"socket.errors": test.settings}})
			require.NoError(t, conf.Unmarshal(c))
			require.NoError(t, confmap.Validate(c))
			assert.Equal(t, test.want, peerPartsOf(&c.Metrics.SocketErrors))
		})
	}
}

// TestConfigRefused: one error that names the key, and its value where there
// is one to blame.
func TestConfigRefused(t *testing.T) {
	conf := load(t, "invalid.yaml")
	for name := range conf.ToStringMap() {
		t.Run(name, func(t *testing.T) {
			sub, err := conf.Sub(name)
			require.NoError(t, err)
			config, err := sub.Sub("config")
			require.NoError(t, err)
			c := createDefaultConfig().(*Config)
			err = config.Unmarshal(c)
			if err == nil {
				err = confmap.Validate(c)
			}
			require.ErrorContains(t, err, sub.Get("error").(string))
		})
	}
}
