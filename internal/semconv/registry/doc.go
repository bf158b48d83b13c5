// SPDX-License-Identifier: Apache-2.0

// Package registry reads model/, the registry of what the receiver emits, in the format of
// OpenTelemetry's semantic conventions. Generators and tests use it; the receiver itself
// uses the constants of internal/semconv.
package registry
