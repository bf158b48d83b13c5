// SPDX-License-Identifier: Apache-2.0

// Package differential compares what the receiver reports of a call with what
// others report of the same call: strace, which watches the same process at the
// same time, ss, /proc, and programs that know what they did. The tests need
// root, and the programs that hack/setup.sh installs.
package differential
