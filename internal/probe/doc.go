// SPDX-License-Identifier: Apache-2.0

// Package probe owns every kernel object of the receiver. It checks what the host
// supports, loads and attaches the BPF programs, reads records, series and counters, and
// frees all of it. It needs Linux 5.10 or later.
package probe
