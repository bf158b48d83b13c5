// SPDX-License-Identifier: Apache-2.0

// Soak runs the built Collector at full load while its backend blocks, and refuses
// for a while and permanently, processes come and go, and the configuration is
// reloaded. It reports how memory, descriptors, goroutines and the kernel's tables
// fared, and balances the receiver's telemetry at the end. Its exit status is not 0
// when a call is not accounted for, or something grows or stays behind. It needs
// root, a C compiler, and what `make build` leaves.
package main
