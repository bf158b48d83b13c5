// SPDX-License-Identifier: Apache-2.0

// Package registry reads model/, the registry of what the receiver emits, in the
// format of OpenTelemetry's semantic conventions. It is for generators and
// tests; the receiver itself has the constants of internal/semconv.
package registry
