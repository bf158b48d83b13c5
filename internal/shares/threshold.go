// SPDX-License-Identifier: Apache-2.0

package shares

// Threshold is a dynamic threshold (Choudhury and Hahne, 1998) for what is not taken back: an
// owner may hold Ratio times of what is free, so that each owner leaves a part of what it
// finds to others. bpf/shared_table.h has the same.
type Threshold struct{ Size, Ratio int }

// Allows reports whether an owner that holds so many of those in use may have one more.
func (t Threshold) Allows(held, used int) bool { return held < t.Ratio*(t.Size-used) }
