// SPDX-License-Identifier: Apache-2.0

package path

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"maps"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/bpf"
)

var update = flag.Bool("update", false, "write what a call executes now to testdata/costs.json")

const costsFile = "testdata/costs.json"

// objects are the committed ones, by architecture. The architecture of this
// host does not matter.
var objects = map[string]string{
	"amd64": "../../../bpf/getsockopt_x86_bpfel.o",
	"arm64": "../../../bpf/getsockopt_arm64_bpfel.o",
}

// kind is a call in a configuration.
type kind struct {
	name      string
	option    uint64
	spans     bool
	threshold uint64 // of the sampling, 56 bits; the machine draws one half
	changes   bool   // another option than that of the call before
	duration  uint64 // ns; 0: that of a common call
	cpus      bool   // a host of so many CPUs that series have several counts
}

// Durations, ns.
const (
	slow    = 1000 // the next buckets after the common ones
	slowest = 5000
)

const (
	keepsAll = 0
	keepsFew = 1<<56 - 1<<49
)

var kinds = []kind{
	{name: "metrics only", option: unix.SO_TYPE},
	{name: "metrics only, SO_ERROR", option: unix.SO_ERROR},
	{name: "metrics only, another series", option: unix.SO_TYPE, changes: true},
	{name: "metrics only, a slow call", option: unix.SO_TYPE, duration: slow},
	{name: "metrics only, one of the slowest", option: unix.SO_TYPE, duration: slowest},
	{name: "metrics only, many CPUs", option: unix.SO_TYPE, cpus: true},
	{name: "spans, one that is not kept", option: unix.SO_TYPE, spans: true, threshold: keepsFew},
	{name: "spans, one that is kept", option: unix.SO_TYPE, spans: true, threshold: keepsAll},
}

// cost is what the two programs of a call execute together.
type cost struct {
	Instructions int            `json:"instructions"`
	Calls        map[string]int `json:"calls"`
}

// TestCostOfACall fails when a call executes more than it did. Times show that
// only on a host that does nothing else. Less is better, and is to be committed
// with -update, so that it stays.
func TestCostOfACall(t *testing.T) {
	now := map[string]map[string]cost{}
	for architecture, object := range objects {
		now[architecture] = map[string]cost{}
		for _, k := range kinds {
			now[architecture][k.name] = costOf(t, object, k)
		}
	}
	if *update {
		b, err := json.MarshalIndent(now, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(costsFile, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var committed map[string]map[string]cost
	b, err := os.ReadFile(costsFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &committed); err != nil {
		t.Fatal(err)
	}
	for architecture, costs := range now {
		for name, is := range costs {
			was := committed[architecture][name]
			if is.Instructions > was.Instructions {
				t.Errorf("%s: %s: %d instructions, were %d", architecture, name, is.Instructions, was.Instructions)
			}
			for _, call := range slices.Sorted(maps.Keys(is.Calls)) {
				if is.Calls[call] > was.Calls[call] {
					t.Errorf("%s: %s: %d calls of %s, were %d", architecture, name, is.Calls[call], call, was.Calls[call])
				}
			}
			if is.Instructions < was.Instructions {
				t.Logf("%s: %s: %d instructions, were %d: run with -update", architecture, name, is.Instructions, was.Instructions)
			}
		}
	}
}

// costOf makes the same calls again and again, and takes the last one: its
// process, its thread and its series are known by then.
func costOf(t *testing.T, object string, k kind) cost {
	t.Helper()
	m := machine(t, object, k)
	value := m.Allocate(make([]byte, 4))
	length := m.Allocate(binary.NativeEndian.AppendUint32(nil, 4))
	const fd = 3
	var enter, exit Cost
	for i := range 5 {
		option := k.option
		if k.changes && i%2 == 1 {
			option = unix.SO_RCVBUF
		}
		var err error
		if enter, err = m.Run(bpf.GetsockoptProgTracepointEnter, 0, 0, fd, unix.SOL_SOCKET, option, value, length); err != nil {
			t.Fatalf("%s: enter: %v", k.name, err)
		}
		if exit, err = m.Run(bpf.GetsockoptProgTracepointExit, 0, 0, 0); err != nil {
			t.Fatalf("%s: exit: %v", k.name, err)
		}
	}
	total := cost{Instructions: enter.Instructions + exit.Instructions, Calls: enter.Calls}
	for call, n := range exit.Calls {
		total.Calls[call] += n
	}
	counts, slow, slots := 1, 0, 0
	if k.changes { // it looks into the counts of a slot to see that they are its own
		counts = 2
	}
	if k.duration != 0 {
		slow = 1
	}
	if k.duration == slowest || k.spans {
		slots = 1
	}
	if total.Calls["TaskStorageGet threads"] != 2 || total.Calls["MapLookupElem series_counts"] != counts ||
		total.Calls["MapLookupElem slow_counts"] != slow || total.Calls["MapLookupElem series"] != slots {
		t.Fatalf("%s: this is not the way of a call: %v", k.name, total.Calls)
	}
	if kept := k.spans && k.threshold == keepsAll; (total.Calls["RingbufSubmit"] == 1) != kept {
		t.Fatalf("%s: sent to the ring: %v", k.name, total.Calls)
	}
	return total
}

// machine is a kernel with a process that has a TCP socket open.
func machine(t *testing.T, object string, k kind) *Machine {
	t.Helper()
	spec, err := ebpf.LoadCollectionSpec(object)
	if err != nil {
		t.Fatal(err)
	}
	shards := uint32(1)
	if k.cpus {
		shards = 8
	}
	for name, value := range map[string]any{
		bpf.GetsockoptVarBucketFirst:          slices.Repeat([]uint8{lastBucket - 1}, 1024),
		bpf.GetsockoptVarBucketShort:          bucketShort(),
		bpf.GetsockoptVarSeriesLimit:          uint32(seriesLimit),
		bpf.GetsockoptVarShardMask:            shards - 1,
		bpf.GetsockoptVarTaskStorageAvailable: uint8(1),
		bpf.GetsockoptVarCastsAvailable:       uint8(1),
		bpf.GetsockoptVarSpansEnabled:         boolByte(k.spans),
		bpf.GetsockoptVarValuesEnabled:        uint8(1),
		bpf.GetsockoptVarValueMax:             uint32(512),
		bpf.GetsockoptVarGroupBy:              uint8(1), // the service
		bpf.GetsockoptVarKeepFailed:           uint8(1),
		bpf.GetsockoptVarKeepSlower:           uint64(math.MaxUint64),
		bpf.GetsockoptVarReceiverPid:          uint32(1),
		bpf.GetsockoptVarSelftestLevel:        int32(math.MinInt32),
		bpf.GetsockoptVarRatioThreshold:       k.threshold,
		bpf.GetsockoptVarSpansLimited:         uint8(0),
		bpf.GetsockoptVarFirstSlot:            uint32(firstSlot),
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			t.Fatalf("set %s: %v", name, err)
		}
	}
	spec.Maps[bpf.GetsockoptMapSeriesCounts].MaxEntries = shards * seriesLimit
	m := New(spec)
	if k.duration != 0 {
		m.CallTime = k.duration
	}
	m.Push(bpf.GetsockoptMapFreeGroups, 1)
	m.Push(bpf.GetsockoptMapFreeScratch, 0)
	m.Push(bpf.GetsockoptMapFreeOwners, 1)
	m.Push(bpf.GetsockoptMapFreeSlots, firstSlot)
	m.Push(bpf.GetsockoptMapFreeSlots, firstSlot+1)
	giveGroup(t, m)
	for _, option := range []int32{int32(k.option), unix.SO_RCVBUF} {
		giveName(m, unix.SOL_SOCKET, option)
	}
	rule := bpf.GetsockoptCopyRuleKey{Level: unix.SOL_SOCKET, Option: int32(k.option)}
	key := binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, uint32(rule.Level)), uint32(rule.Option))
	m.Put(bpf.GetsockoptMapCopyRules, key, binary.NativeEndian.AppendUint32(nil, 4))
	giveSocket(t, m)
	return m
}

// bucketShort makes durations slow from that of a slow call on.
func bucketShort() []uint8 {
	buckets := make([]uint8, 4096)
	for ns := slow; ns < len(buckets); ns++ {
		buckets[ns] = uint8(len(bpf.GetsockoptSeriesCounts{}.Cells))
	}
	return buckets
}

// giveName makes an option one that has a name.
func giveName(m *Machine, level, option int32) {
	key := binary.NativeEndian.AppendUint32(nil, uint32(level))
	key = binary.NativeEndian.AppendUint32(key, uint32(option))
	m.Put(bpf.GetsockoptMapNamedOptions, binary.NativeEndian.AppendUint32(key, 0), []byte{1})
}

const (
	// firstSlot is the first slot of a series: those of overflow are two for each group.
	firstSlot   = 4
	seriesLimit = 2
	lastBucket  = 147
)

// giveGroup makes a group free, and allows each owner all series.
func giveGroup(t *testing.T, m *Machine) {
	t.Helper()
	number := binary.NativeEndian.AppendUint32(nil, 1)
	state, err := m.Get(bpf.GetsockoptMapGroupStates, number)
	if err != nil {
		t.Fatal(err)
	}
	copy(state, number)
	shares, err := m.Get(".data.shares", make([]byte, 4))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := binary.Encode(shares, binary.NativeEndian, bpf.GetsockoptShares{
		FreeSlots: 2, FreeGroups: 1, SlotsOfOwner: math.MaxUint32, GroupsOfOwner: math.MaxUint32,
	}); err != nil {
		t.Fatal(err)
	}
}

// giveSocket puts a connected TCP socket at every descriptor of the task.
func giveSocket(t *testing.T, m *Machine) {
	t.Helper()
	const (
		size       = 4096
		maxFDs     = 16
		modeSocket = 0o140000
	)
	made := func() uint64 { return m.Allocate(make([]byte, size)) }
	files, table, file, inode, socket, sock, net := made(), made(), made(), made(), made(), made(), made()
	var descriptors []byte
	for range maxFDs {
		descriptors = binary.NativeEndian.AppendUint64(descriptors, file)
	}
	for _, p := range []struct {
		at     uint64
		in     string
		value  uint64
		fields []string
	}{
		{m.Task, "task_struct", uint64(m.PID), []string{"tgid"}},
		{m.Task, "task_struct", uint64(m.PID), []string{"pid"}},
		{m.Task, "task_struct", 1, []string{"self_exec_id"}},
		{m.Task, "task_struct", files, []string{"files"}},
		{files, "files_struct", table, []string{"fdt"}},
		{table, "fdtable", maxFDs, []string{"max_fds"}},
		{table, "fdtable", m.Allocate(descriptors), []string{"fd"}},
		{file, "file", inode, []string{"f_inode"}},
		{file, "file", socket, []string{"private_data"}},
		{inode, "inode", modeSocket, []string{"i_mode"}},
		{socket, "socket", sock, []string{"sk"}},
		{sock, "sock", unix.AF_INET, []string{"__sk_common", "skc_family"}},
		{sock, "sock", 40000, []string{"__sk_common", "skc_num"}},
		{sock, "sock", 0x0100007f, []string{"__sk_common", "skc_rcv_saddr"}},
		{sock, "sock", 0x0100007f, []string{"__sk_common", "skc_daddr"}},
		{sock, "sock", net, []string{"__sk_common", "skc_net", "net"}},
		{sock, "sock", unix.SOCK_STREAM, []string{"sk_type"}},
		{sock, "sock", unix.IPPROTO_TCP, []string{"sk_protocol"}},
	} {
		if err := m.Poke(p.at, p.in, p.value, p.fields...); err != nil {
			t.Fatal(err)
		}
	}
}

func boolByte(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
