// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"net/url"
	"strings"
)

// Receiver is one receiver of a configuration, with its settings as YAML. At
// the backend its data has its name.
type Receiver struct {
	Name     string // getsockopt, or getsockopt/ with a name
	Settings string
}

// Settings are a receiver's for a load: it sees nothing else, collects five
// times a second and makes a span of every call.
func Settings(l *Load, more ...string) string {
	all := append([]string{
		"collection_interval: 200ms",
		"spans: {max_per_second: 0}",
		"select: {executables: [" + l.Name() + "]}",
	}, more...)
	return "{" + strings.Join(all, ", ") + "}"
}

// Config is a Collector's configuration. Nothing is queued on the way, so that
// the receiver itself meets every refusal. Profiles can be had at an address,
// if there is one.
func (b *Backend) Config(pprof string, receivers ...Receiver) string {
	var in, out, pipelines strings.Builder
	for _, r := range receivers {
		path := url.PathEscape(r.Name)
		name := strings.ReplaceAll(r.Name, "/", "-")
		fmt.Fprintf(&in, "  %s: %s\n", r.Name, r.Settings)
		fmt.Fprintf(&out, `  otlp_http/%s:
    endpoint: %s/%s
    compression: none
    timeout: 2m
    keepalive: {idle_conn_timeout: 1s}
    sending_queue: {enabled: false}
    retry_on_failure: {enabled: false}
`, name, b.URL, path)
		for _, signal := range []string{"traces", "metrics"} {
			fmt.Fprintf(&pipelines, "    %s/%s: {receivers: [%s], exporters: [otlp_http/%[2]s]}\n", signal, name, r.Name)
		}
	}
	extensions, enabled := "{}", "[]"
	if pprof != "" {
		extensions, enabled = "{pprof: {endpoint: "+pprof+"}}", "[pprof]"
	}
	return fmt.Sprintf(`receivers:
%sexporters:
%sextensions: %s
service:
  extensions: %s
  telemetry:
    metrics:
      readers:
        - periodic:
            interval: 200
            exporter: {otlp: {protocol: http/protobuf, endpoint: %s/own/v1/metrics}}
  pipelines:
%s`, &in, &out, extensions, enabled, b.URL, &pipelines)
}
