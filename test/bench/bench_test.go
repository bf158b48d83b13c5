// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func BenchmarkRecordToSpan(b *testing.B) { recordToSpan(b) }
