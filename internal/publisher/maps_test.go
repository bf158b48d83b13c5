// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"testing"

	"github.com/getsockopt/getsockoptreceiver/internal/tlsvariable"
)

func TestParseMaps(t *testing.T) {
	modules := parseMaps(`55d0c0000000-55d0c0001000 r--p 00000000 fe:01 11                         /opt/a b/pro gram
55d0c0001000-55d0c0002000 r-xp 00001000 fe:01 11                         /opt/a b/pro gram
55d0c0100000-55d0c0121000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000001000 r--p 00000000 fe:01 12                         /usr/share/data
7f0000002000-7f0000003000 r-xp 00002000 fe:02 11                         /lib/x\012y.so (deleted)
7f0000004000-7f0000005000 rw-p 00000000 00:00 0
garbage
7f0000006000-7f0000007000 r-xp zz fe:01 13                               /lib/z.so
`)
	if len(modules) != 3 {
		t.Fatalf("%d modules, want 3", len(modules))
	}
	program, data, library := modules[0], modules[1], modules[2]
	if program.path != "/opt/a b/pro gram" || !program.code || len(program.mappings) != 2 {
		t.Errorf("program %+v", program)
	}
	if data.code {
		t.Errorf("data %+v, want no code", data)
	}
	if library.path != "/lib/x\ny.so (deleted)" || library.mappings[0] != (mapping{"7f0000002000-7f0000003000", 0x7f0000002000, 0x2000}) {
		t.Errorf("library %+v", library)
	}
}

func TestBias(t *testing.T) {
	// The first segment is not mapped where the file begins.
	m := module{mappings: []mapping{{start: 0x7f0000003000, offset: 0x2000}, {start: 0x7f0000005000, offset: 0x3000}}}
	segments := []tlsvariable.Segment{{Offset: 0, Address: 0}, {Offset: 0x2df0, Address: 0x3df0}}
	if bias, found := m.bias(segments); !found || bias != 0x7f0000000000 {
		t.Errorf("got %#x, %t, want 0x7f0000000000", bias, found)
	}
	if bias, found := m.bias(segments[:1]); found {
		t.Errorf("got %#x of a file without these segments", bias)
	}
}
