// SPDX-License-Identifier: Apache-2.0

//go:build !linux || !(amd64 || arm64)

package sockopt

// errnoNames is empty where the receiver cannot run. There only configurations are
// checked, and these name options, not errors.
var errnoNames [0]string
