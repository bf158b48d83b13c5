// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the built Collector as its users have it: a process with a
// configuration file, programs whose calls it must see, and backends that its
// data must reach. The tests need root, and what `make build jaeger` leaves.
package e2e
