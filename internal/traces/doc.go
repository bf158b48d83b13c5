// SPDX-License-Identifier: Apache-2.0

// Package traces writes calls as OpenTelemetry spans, which docs/semantics.md specifies.
package traces
