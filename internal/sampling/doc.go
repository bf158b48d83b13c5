// SPDX-License-Identifier: Apache-2.0

// Package sampling computes the probability with which a call becomes a span, so that
// spans stay within a rate, are shared fairly, and the number of calls can be estimated
// from them: OpenTelemetry's consistent probability sampling. It needs no kernel and no
// clock; the BPF programs apply the settings.
package sampling
