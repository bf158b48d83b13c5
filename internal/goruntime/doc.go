// SPDX-License-Identifier: Apache-2.0

// Package goruntime knows where the Go runtime keeps the running goroutine's pprof labels,
// by version.
package goruntime
