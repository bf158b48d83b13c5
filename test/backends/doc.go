// SPDX-License-Identifier: Apache-2.0

// Package backends tests that what is sent can be counted with: by Prometheus,
// by the Collector's own connectors and samplers, and by a consumer that knows
// how many calls there were. The tests need root, the Collector that `make
// build` leaves, and a Prometheus.
package backends
