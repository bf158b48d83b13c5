// SPDX-License-Identifier: Apache-2.0

// Checkout is a small service that is instrumented with OpenTelemetry's SDK, and publishes
// its active span with otel-profiling-go. It serves GET /checkout at the address of its
// argument: it asks an inventory, and a payment service that has stopped. The answer is
// the id of the trace, which is exported to OTEL_EXPORTER_OTLP_ENDPOINT.
package main
