// SPDX-License-Identifier: Apache-2.0

// Package rig has what it takes to be unkind to the built Collector: programs
// whose calls are known in number, a backend that refuses or blocks, the telemetry
// that the receiver keeps of itself, and a look at what is in the kernel. The
// tests of test/resilience and the program test/soak share it. It needs root,
// a C compiler, and what `make build` leaves.
package rig
