// SPDX-License-Identifier: Apache-2.0

// Package pdatautil has what spans and metrics write in the same way.
package pdatautil
