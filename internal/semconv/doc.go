// SPDX-License-Identifier: Apache-2.0

// Package semconv defines the names that the receiver emits: attributes, values of
// enumerations, and metrics. They are OpenTelemetry's if it has them, and the receiver's
// own otherwise. They are generated from the registry in model/; docs/semantics.md has the
// same for readers.
package semconv

//go:generate go run ./semconvgen
