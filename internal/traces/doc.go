// SPDX-License-Identifier: Apache-2.0

// Package traces writes calls as OpenTelemetry spans. docs/semantics.md is the
// contract of what it writes.
package traces
