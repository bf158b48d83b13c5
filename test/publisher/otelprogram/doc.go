// SPDX-License-Identifier: Apache-2.0

// Otelprogram is a program that is instrumented with OpenTelemetry's SDK and
// otel-profiling-go. It makes getsockopt calls in and outside of spans, and prints for each
// one its option and the ids of the span that was active: zeros for none.
//
// It waits for a line of its standard input before the first call. If OTLP_ADDRESS is set,
// it exports its spans there.
package main
