// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/grafana/grafana-foundation-sdk/go/dashboard"

// receiver shows the Collectors' own metrics. Their host is the label instance of the
// scrape, and their namespace the label of that name, which Prometheus' Kubernetes
// discovery is usually configured to add.
func receiver() *dashboard.DashboardBuilder {
	const (
		chosen = `{instance=~"$host",namespace=~"$namespace"}`
		prefix = "otelcol_receiver_getsockopt_"
	)
	rate := func(by, metric string) string {
		return `sum by (` + by + `) (rate(` + metric + chosen + `[$__rate_interval]))`
	}
	share := func(metric, limit string) string {
		return prefix + metric + chosen + ` / ` + prefix + limit + chosen
	}
	return newDashboard("getsockopt-receiver", "getsockopt: the receiver's health",
		"Whether the receivers see, count and send every call.").
		WithVariable(variable("namespace", "Namespace", prefix+"seen", "namespace")).
		WithVariable(variable("host", "Host", prefix+"seen", "instance")).
		WithPanel(panel("What becomes of calls", "Calls a second. A call that is seen is filtered, sampled out, emitted as a span, or lost.", "ops",
			query{rate("receiver", prefix+"seen"), "seen"},
			query{rate("receiver", prefix+"filtered"), "filtered"},
			query{rate("receiver", prefix+"sampled_out"), "sampled out"},
			query{rate("receiver", prefix+"emitted"), "emitted"},
			query{rate("receiver", prefix+"lost"), "lost"}).Span(24)).
		WithPanel(panel("Lost spans", "Calls a second that should have a span and have none.", "ops",
			query{rate("instance, reason", prefix+"lost"), "{{instance}} {{reason}}"})).
		WithPanel(panel("Uncounted calls", "Calls a second that are in no metric.", "ops",
			query{rate("instance, reason", prefix+"uncounted"), "{{instance}} {{reason}}"})).
		WithPanel(panel("In flight", "Calls that are running, or whose span was not accepted yet.", "short",
			query{prefix + "in_flight" + chosen, "{{instance}} {{signal}}"})).
		WithPanel(panel("Limits", "Use of series, groups and ring buffer, by their limits.", "percentunit",
			query{share("series", "series_limit"), "{{instance}} series"},
			query{share("groups", "groups_limit"), "{{instance}} groups"},
			query{share("ring_used", "ring_size"), "{{instance}} ring buffer"}).Max(1)).
		WithPanel(panel("Overflow", "Calls a second that are counted in overflow series, and processes in the overflow group.", "ops",
			query{rate("instance", prefix+"series_overflow"), "{{instance}} series"},
			query{rate("instance", prefix+"group_overflow"), "{{instance}} groups"})).
		WithPanel(panel("Hooks", "Number of receivers by the hook in use.", "short",
			query{`count by (hook) (` + prefix + `hook` + chosen + `)`, "{{hook}}"})).
		WithPanel(panel("Entry points that are not covered", "Number of receivers whose hook may miss calls through an entry point.", "short",
			query{`sum by (entry) (` + prefix + `entry_uncovered` + chosen + `)`, "{{entry}}"})).
		WithPanel(panel("Skipped runs and read errors", "BPF programs that the kernel skipped, and values that could not be read, a second.", "ops",
			query{rate("instance", prefix+"missed_runs"), "{{instance}} skipped runs"},
			query{rate("instance, field", prefix+"read_errors"), "{{instance}} {{field}} not read"})).
		WithPanel(panel("Incomplete identities", "Processes a second that are described incompletely.", "ops",
			query{rate("instance, reason", prefix+"identity_incomplete"), "{{instance}} {{reason}}"})).
		WithPanel(panel("Exporter queues", "Use of the sending queues, by their capacity.", "percentunit",
			query{`otelcol_exporter_queue_size` + chosen + ` / otelcol_exporter_queue_capacity` + chosen, "{{instance}} {{exporter}} {{data_type}}"}).Max(1)).
		WithPanel(panel("CPU of the Collector", "Cores.", "short",
			query{rate("instance", "otelcol_process_cpu_seconds"), "{{instance}}"})).
		WithPanel(panel("Memory of the Collector", "Resident memory, without the BPF maps.", "bytes",
			query{`otelcol_process_memory_rss` + chosen, "{{instance}}"}))
}
