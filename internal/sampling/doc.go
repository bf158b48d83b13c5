// SPDX-License-Identifier: Apache-2.0

// Package sampling decides with which probability a call becomes a span, so
// that spans stay within a rate and can still be counted with: OpenTelemetry's
// consistent probability sampling. It is pure; the kernel applies what it says.
package sampling
