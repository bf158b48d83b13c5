// SPDX-License-Identifier: Apache-2.0

// Package polling makes the goroutines that poll the kernel wake at the same time. Each wake
// of an idle process keeps its threads and the runtime's monitor busy for a while, however
// little there is to do; several at once cost little more than one.
package polling
