// SPDX-License-Identifier: Apache-2.0

// Package rig injects faults into the built Collector: it has programs whose calls
// are known in number, a backend that refuses or blocks, the receiver's
// self-telemetry, and a list of the BPF objects in the kernel. The
// tests of test/resilience and the program test/soak share it. It needs root,
// a C compiler, and what `make build` leaves.
package rig
