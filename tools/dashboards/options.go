// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/grafana/grafana-foundation-sdk/go/dashboard"

func options() *dashboard.DashboardBuilder {
	const (
		chosen   = selected + `,socket_option_name=~"$option"`
		calls    = `socket_getsockopt_calls_total{` + chosen + `}`
		duration = `sum by (socket_option_name) (rate(socket_getsockopt_duration_seconds{` + chosen + `}[$__rate_interval]))`
	)
	return withServices(newDashboard("getsockopt-options", "getsockopt: options and latency",
		"Which options programs read, how often and how fast.")).
		WithVariable(variable("option", "Option", "socket_getsockopt_calls_total", "socket_option_name")).
		WithPanel(panel("Calls by option", "Calls a second, failed ones included.", "ops",
			query{`topk(20, sum by (socket_option_level, socket_option_name) (rate(` + calls + `[$__rate_interval])))`, "{{socket_option_level}} {{socket_option_name}}"})).
		WithPanel(panel("Most frequent callers", "Calls a second, by service and option: programs that poll.", "ops",
			query{`topk(10, sum by (service_name, socket_option_name) (rate(` + calls + `[$__rate_interval])))`, "{{service_name}} {{socket_option_name}}"})).
		WithPanel(panel("99th percentile", "Duration of calls. Its exemplars lead to spans.", "s",
			query{`topk(10, histogram_quantile(0.99, ` + duration + `))`, "{{socket_option_name}}"})).
		WithPanel(panel("Median", "Duration of calls.", "s",
			query{`topk(10, histogram_quantile(0.5, ` + duration + `))`, "{{socket_option_name}}"})).
		WithPanel(panel("Time spent by option", "Seconds that programs spend in these calls, a second.", "percentunit",
			query{`topk(10, histogram_sum(` + duration + `))`, "{{socket_option_name}}"})).
		WithPanel(panel("Options that are not supported", "Calls a second that failed because the kernel, the container runtime or the socket lacks the option.", "ops",
			query{`sum by (service_name, socket_option_level, socket_option_name, error_type) (rate(socket_getsockopt_calls_total{` + chosen + `,error_type=~"ENOPROTOOPT|EOPNOTSUPP|ENOSYS"}[$__rate_interval]))`, "{{service_name}} {{socket_option_level}} {{socket_option_name}} {{error_type}}"})).
		WithPanel(panel("Entry points", "Calls a second: of 64-bit and 32-bit programs, and of io_uring.", "ops",
			query{`sum by (socket_entry) (rate(` + calls + `[$__rate_interval]))`, "{{socket_entry}}"})).
		WithPanel(panel("Beyond the limit of series", "Calls a second that are counted in overflow points, and of all calls the ones that are not.", "ops",
			query{`sum by (otel_metric_overflow) (rate(socket_getsockopt_calls_total{` + selected + `}[$__rate_interval]))`, "overflow: {{otel_metric_overflow}}"}))
}
