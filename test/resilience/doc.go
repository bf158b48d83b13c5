// SPDX-License-Identifier: Apache-2.0

// Package resilience tests the built Collector and the probe where something
// goes wrong: privileges are missing, the backend refuses, processes come and
// go, calls are cut off, the Collector is killed. Whatever happens, every call
// is accounted for, and nothing stays behind. docs/accounting.md and
// docs/privileges.md state what is promised. The tests need root, a C compiler,
// and what `make build` leaves.
package resilience
