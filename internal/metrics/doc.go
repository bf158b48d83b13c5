// SPDX-License-Identifier: Apache-2.0

// Package metrics writes what the kernel counted as OpenTelemetry metrics.
// docs/semantics.md is the contract of what it writes.
package metrics
