// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/rlimit"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/histogram"
)

// The kernel's search against the reference (which internal/histogram holds
// against OpenTelemetry's SDK), at every bound and its two neighbours, and at
// every step of the kernel's table.
func TestKernelBucketsAgreeWithHistogram(t *testing.T) {
	spec, err := bpf.LoadGetsockopt()
	if err != nil {
		t.Fatal(err)
	}
	keepPrograms(spec, []attachment{{program: bpf.GetsockoptProgBucketTest}})
	o := Options{}
	o.setDefaults()
	if err := configure(spec, &o, newSelfTest(), ioUringEvents{}, btf.NewCache()); err != nil {
		t.Fatal(err)
	}
	if err := rlimit.RemoveMemlock(); err != nil { // counts BPF maps before 5.11
		t.Fatal(err)
	}
	c, err := ebpf.NewCollection(spec)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	durations := []uint64{0, 1, 2, 3, 100_000_000_000, math.MaxInt64, math.MaxUint64}
	for _, bound := range histogram.Uppers() {
		durations = append(durations, bound-1, bound, bound+1)
	}
	for power := range 38 {
		for step := range uint64(16) {
			at := uint64(1)<<power + step<<power>>4
			durations = append(durations, at-1, at, at+1)
		}
	}
	for _, ns := range durations {
		context := binary.NativeEndian.AppendUint64(nil, ns)
		got, err := c.Programs[bpf.GetsockoptProgBucketTest].Run(&ebpf.RunOptions{Context: context})
		if err != nil {
			t.Fatal(err)
		}
		if want := bucketSlot(histogram.Index(ns)); int(got) != want {
			t.Errorf("%d ns: the kernel counts in bucket %d, want %d", ns, got, want)
		}
	}
	t.Logf("%d durations", len(durations))
}
