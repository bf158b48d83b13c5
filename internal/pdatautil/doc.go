// SPDX-License-Identifier: Apache-2.0

// Package pdatautil writes the parts that spans and metrics have in common.
package pdatautil
