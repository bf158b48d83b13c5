// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// memoryRing is a ring buffer without a kernel.
type memoryRing struct {
	ring
	at, end uint64
}

func newMemoryRing(size int) *memoryRing {
	r := &memoryRing{}
	r.consumer, r.producer, r.data = &r.at, &r.end, make([]byte, size)
	return r
}

// put writes a record as the kernel does, which sees the data twice in a row.
func (r *memoryRing) put(record []byte, flags uint32) {
	b := binary.NativeEndian.AppendUint32(nil, uint32(len(record))|flags)
	b = append(append(b, 0, 0, 0, 0), record...)
	for len(b)%8 != 0 {
		b = append(b, 0xff)
	}
	for i, c := range b {
		r.data[(r.end+uint64(i))%uint64(len(r.data))] = c
	}
	r.end += uint64(len(b))
}

// Records of every length come as they were written, wherever in the data they begin and end.
func TestRingGivesWhatWasWritten(t *testing.T) {
	r := newMemoryRing(256)
	var got []byte
	for n := range 5000 {
		first := bytes.Repeat([]byte{byte(n)}, 1+n%101)
		second := bytes.Repeat([]byte{byte(n + 1)}, 1+n%53)
		r.put(first, 0)
		r.put([]byte("discarded"), unix.BPF_RINGBUF_DISCARD_BIT)
		r.put(second, 0)
		if waiting := r.bytes(); waiting != int(r.end-r.at) {
			t.Fatalf("%d bytes wait, want %d", waiting, r.end-r.at)
		}
		for _, want := range [][]byte{first, second} {
			if !r.take(&got) || !slices.Equal(got, want) {
				t.Fatalf("record %d is %v, want %v", n, got, want)
			}
		}
		if r.take(&got) || r.at != r.end {
			t.Fatalf("after all records the consumer is at %d of %d", r.at, r.end)
		}
	}
}

func TestRingWithOnlyDiscardedRecords(t *testing.T) {
	r := newMemoryRing(64)
	r.put(nil, unix.BPF_RINGBUF_DISCARD_BIT)
	var got []byte
	if r.take(&got) || r.at != r.end {
		t.Errorf("took %v, consumer at %d of %d", got, r.at, r.end)
	}
}

// A pipe wakes the reader in place of the kernel.
func TestRingWaits(t *testing.T) {
	r := newMemoryRing(64)
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	r.file = out
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
	r.put([]byte("woken"), 0)
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
