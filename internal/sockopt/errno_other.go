// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package sockopt

// errnoNames is empty where no call is seen: there only a configuration is checked,
// which names options.
var errnoNames [0]string
