// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// The receiver reports nothing about single processes. What its BPF programs know of them is
// in their maps.

// values returns the value of a key in the maps of a name, those of all receivers.
func values(t *testing.T, name string, key any) (found [][]byte) {
	t.Helper()
	for id := ebpf.MapID(0); ; {
		var err error
		if id, err = ebpf.MapGetNextID(id); errors.Is(err, os.ErrNotExist) {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		m, err := ebpf.NewMapFromID(id)
		if errors.Is(err, os.ErrNotExist) { // closed meanwhile
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		if info, err := m.Info(); err != nil {
			t.Fatal(err)
		} else if info.Name == name {
			value, err := m.LookupBytes(key)
			if err != nil {
				t.Fatal(err)
			}
			if value != nil {
				found = append(found, value)
			}
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitPublished waits until so many receivers read the active span of a process. Before its
// exec it has what is known of this one, from which it was forked.
func awaitPublished(t *testing.T, pid, receivers int) {
	t.Helper()
	image := func(value []byte) uint32 {
		return binary.NativeEndian.Uint32(value[unsafe.Offsetof(bpf.GetsockoptPublisher{}.ExecId):])
	}
	harness.Eventually(t, limit, "the process is a publisher", func() bool {
		found := values(t, "publishers", uint32(pid))
		for _, own := range values(t, "publishers", uint32(os.Getpid())) {
			found = slices.DeleteFunc(found, func(value []byte) bool { return image(value) == image(own) })
		}
		return len(found) == receivers
	})
}

// awaitName waits until the BPF programs have the name that a process publishes.
func awaitName(t *testing.T, pid int, name string) {
	t.Helper()
	at := unsafe.Offsetof(bpf.GetsockoptPublishedNames{}.Name)
	harness.Eventually(t, limit, "the process has the name "+name, func() bool {
		for _, value := range values(t, "published_names", uint32(pid)) {
			if got, _, _ := bytes.Cut(value[at:], []byte{0}); string(got) == name {
				return true
			}
		}
		return false
	})
}

// epoch changes when processes are to look for their names again.
func epoch(t *testing.T) (n uint32) {
	t.Helper()
	at := unsafe.Offsetof(bpf.GetsockoptShares{}.Epoch)
	for _, value := range values(t, ".data.shares", uint32(0)) {
		n += binary.NativeEndian.Uint32(value[at:])
	}
	return n
}
