// SPDX-License-Identifier: Apache-2.0

package goruntime

import (
	"go/version"
	"strings"
)

// Offsets are offsets in structures of the runtime, in bytes: runtime.m and runtime.g of
// src/runtime/runtime2.go. They are the same on amd64 and arm64.
type Offsets struct {
	ProcID uint16 // m.procid, the thread's id
	CurG   uint16 // m.curg, the user goroutine that runs on the thread
	Labels uint16 // g.labels, the pprof labels
}

// releases are the releases whose labels are a slice of pairs, which came with Go 1.24.
var releases = map[string]Offsets{
	"go1.24": {ProcID: 72, CurG: 192, Labels: 352},
	"go1.25": {ProcID: 64, CurG: 184, Labels: 344},
	"go1.26": {ProcID: 64, CurG: 184, Labels: 352},
	"go1.27": {ProcID: 64, CurG: 184, Labels: 352},
}

// Of returns the offsets of a version as runtime.Version has it, such as "go1.26.3" or
// "go1.26.3 X:nodwarf5". It reports false for versions whose layout is not known, development
// versions among them.
func Of(release string) (Offsets, bool) {
	release, _, _ = strings.Cut(release, " ")
	// Distributions append to the version: go1.26.3-custom.
	release, _, _ = strings.Cut(release, "-")
	o, found := releases[version.Lang(release)]
	return o, found
}
