// SPDX-License-Identifier: Apache-2.0

// Package harness runs the programs of the tests: servers, whose output is kept and
// which are waited for and stopped, and workers, which answer what they are asked.
// Its functions return errors, because programs use it as well as tests; tests have
// those in testing.go.
package harness
