// SPDX-License-Identifier: Apache-2.0

// Package histogram defines the buckets of durations that the BPF programs, the metrics
// and the tests share: OpenTelemetry's base-2 exponential histogram of seconds at a fixed
// scale, with bounds in whole nanoseconds.
package histogram
