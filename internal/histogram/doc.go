// SPDX-License-Identifier: Apache-2.0

// Package histogram holds the one mapping from a duration to a bucket that the
// kernel, the metrics and the tests share: OpenTelemetry's base-2 exponential
// histogram at a fixed scale, in seconds, expressed in whole nanoseconds.
package histogram
