// SPDX-License-Identifier: Apache-2.0

package path

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/bpf"
)

// Nothing is read of a value that may not leave the kernel, not even if it is adjacent
// to its length. Other values of four bytes are then read together with the length.
func TestNothingIsReadOfASecret(t *testing.T) {
	const allowed, secret = unix.SO_TYPE, unix.SO_RCVBUF // machine allows the option that it is made for
	for name, layout := range map[string]struct{ value, length uint64 }{
		"value before length": {0, 4},
		"length before value": {4, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for architecture, object := range objects {
				m := machine(t, object, kind{option: allowed, spans: true, threshold: keepsAll})
				at := m.Allocate(append(binary.NativeEndian.AppendUint32(nil, 4), 4, 0, 0, 0))
				read := func(option uint64) (found bool) {
					value := at + layout.value
					if _, err := m.Run(bpf.GetsockoptProgTracepointEnter, 0, 0, 3, unix.SOL_SOCKET, option, value, at+layout.length); err != nil {
						t.Fatal(err)
					}
					exit, err := m.Run(bpf.GetsockoptProgTracepointExit, 0, 0, 0)
					if err != nil {
						t.Fatal(err)
					}
					if exit.Calls["RingbufSubmit"] != 1 {
						t.Fatalf("%s, %s: no record: %v", architecture, name, exit.Calls)
					}
					for _, r := range exit.Reads {
						if r.At < value+4 && r.At+uint64(r.Size) > value {
							found = true
						}
					}
					return found
				}
				if !read(allowed) {
					t.Errorf("%s, %s: a value that may be read is not", architecture, name)
				}
				if read(secret) {
					t.Errorf("%s: a value is read that may not be", architecture)
				}
			}
		})
	}
}
