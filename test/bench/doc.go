// SPDX-License-Identifier: Apache-2.0

// Command bench measures what the receiver costs: the programs that make calls,
// the Collector that reads them, and the memory of both. It needs root, and no
// other program on the host that traces system calls. docs/performance.md describes
// how to read what it prints.
package main
