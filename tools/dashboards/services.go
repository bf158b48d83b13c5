// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/grafana/grafana-foundation-sdk/go/dashboard"

// selected is the selector of the data that the variables choose.
const selected = `service_namespace=~"$namespace",host_name=~"$host",service_name=~"$service"`

// withServices adds the variables of selected.
func withServices(d *dashboard.DashboardBuilder) *dashboard.DashboardBuilder {
	const calls = "socket_getsockopt_calls_total"
	return d.
		WithVariable(variable("namespace", "Namespace", calls, "service_namespace")).
		WithVariable(variable("host", "Host", calls, "host_name")).
		WithVariable(variable("service", "Service", calls, "service_name"))
}

func services() *dashboard.DashboardBuilder {
	const (
		errors = `socket_errors_total{` + selected + `}`
		calls  = `socket_getsockopt_calls_total{` + selected + `}`
		asked  = `socket_getsockopt_calls_total{` + selected + `,socket_option_name="SO_ERROR",error_type=""}`
		failed = `socket_getsockopt_calls_total{` + selected + `,error_type!=""}`
		named  = `socket_errors_total{` + selected + `,otel_metric_overflow=""}`
	)
	return withServices(newDashboard("getsockopt-services", "getsockopt: services and errors",
		"Which services fail to connect, and which calls of getsockopt(2) fail.")).
		WithPanel(panel("Failed connections and broken sockets",
			"Pending errors that SO_ERROR returned to programs.", "short",
			query{`sum by (service_name, error_type) (increase(` + errors + `[$__rate_interval]))`, "{{service_name}} {{error_type}}"}).Span(24)).
		WithPanel(panel("Share of connections that fail",
			"Pending errors by calls of SO_ERROR. Overflow points, which name no option, are left out.", "percentunit",
			query{`sum by (service_name) (rate(` + named + `[$__rate_interval])) / sum by (service_name) (rate(` + asked + `[$__rate_interval]))`, "{{service_name}}"})).
		WithPanel(panel("Failed connections by host", "Pending errors that SO_ERROR returned, by host.", "short",
			query{`sum by (host_name) (increase(` + errors + `[$__rate_interval]))`, "{{host_name}}"})).
		WithPanel(panel("Calls", "Calls of getsockopt(2) a second.", "ops",
			query{`topk(20, sum by (service_name) (rate(` + calls + `[$__rate_interval])))`, "{{service_name}}"})).
		WithPanel(panel("Failed calls", "Calls that returned an error, a second.", "ops",
			query{`topk(20, sum by (service_name, socket_option_name, error_type) (rate(` + failed + `[$__rate_interval])))`, "{{service_name}} {{socket_option_name}} {{error_type}}"})).
		WithPanel(panel("Share of calls that fail", "Failed calls by all calls.", "percentunit",
			query{`sum by (service_name) (rate(` + failed + `[$__rate_interval])) / sum by (service_name) (rate(` + calls + `[$__rate_interval]))`, "{{service_name}}"})).
		WithPanel(panel("Time spent", "Seconds that a service spends in getsockopt(2), a second.", "percentunit",
			query{`topk(10, histogram_sum(sum by (service_name) (rate(socket_getsockopt_duration_seconds{` + selected + `}[$__rate_interval]))))`, "{{service_name}}"}))
}
