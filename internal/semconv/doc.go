// SPDX-License-Identifier: Apache-2.0

// Package semconv holds the names of what the receiver emits: attributes, values
// of enumerations, and metrics. They are OpenTelemetry's where it has them, and
// the receiver's own where it has not. The registry in model/ defines
// them; docs/semantics.md has it for readers.
package semconv

//go:generate go run ./semconvgen
