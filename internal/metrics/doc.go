// SPDX-License-Identifier: Apache-2.0

// Package metrics writes the counts of the BPF programs as OpenTelemetry metrics, which
// docs/semantics.md specifies.
package metrics
