// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"os"
	"testing"
	"time"
)

// A pipe wakes the reader in place of the kernel.
func TestRingWaits(t *testing.T) {
	memory := newTestRing(64)
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	r := &ring{ringMemory: &memory.ringMemory, file: out}
	if r.conn, err = out.SyscallConn(); err != nil {
		t.Fatal(err)
	}
	var got []byte
	if err := r.next(&got, time.Now()); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("at the deadline of an empty ring buffer: error %v", err)
	}
	never := time.Now().Add(time.Hour)
	next := make(chan error)
	read := func() { next <- r.next(&got, never) }

	go read()
	r.mu.Lock()
	memory.put([]byte("woken"), 0)
	r.mu.Unlock()
	if _, err := in.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	if err := <-next; err != nil || string(got) != "woken" {
		t.Errorf("read %q, error %v", got, err)
	}

	go read()
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	if err := <-next; !errors.Is(err, os.ErrClosed) {
		t.Errorf("when it was closed: error %v", err)
	}
	if err := r.next(&got, time.Now()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after it was closed: error %v", err)
	}
}
