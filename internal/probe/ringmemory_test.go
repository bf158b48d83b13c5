// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// testRing is the memory of a ring buffer without a kernel.
type testRing struct {
	ringMemory
	at, end uint64
}

func newTestRing(size int) *testRing {
	r := &testRing{}
	r.consumer, r.producer, r.data = &r.at, &r.end, make([]byte, size)
	return r
}

// put writes a record as the kernel does, which sees the data twice in a row.
func (r *testRing) put(record []byte, flags uint32) {
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
	r := newTestRing(256)
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
	r := newTestRing(64)
	r.put(nil, unix.BPF_RINGBUF_DISCARD_BIT)
	var got []byte
	if r.take(&got) || r.at != r.end {
		t.Errorf("took %v, consumer at %d of %d", got, r.at, r.end)
	}
}
