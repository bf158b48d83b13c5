// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Key material must not leave the kernel: not in a span, and not in a byte of
// what crosses to user space, which is the ring.

const keySize = 16

// Of the kernel's headers, as far as x/sys lacks them.
const (
	solSCTP           = 132
	tcpAOAddKey       = 38
	tcpAODelKey       = 39
	tcpAOGetKeys      = 41
	sctpAuthKey       = 23
	rxrpcSecurityKey  = 1
	rxrpcSecurityRing = 2
	algSetPubkey      = 6
	tlsTX             = 1
	tlsRX             = 2
)

// secretPairs are the pairs of level and option that are key material.
var secretPairs = [][2]int{
	{unix.SOL_IP, unix.IP_IPSEC_POLICY},
	{unix.SOL_IP, unix.IP_XFRM_POLICY},
	{unix.SOL_IPV6, unix.IPV6_IPSEC_POLICY},
	{unix.SOL_IPV6, unix.IPV6_XFRM_POLICY},
	{unix.SOL_TCP, unix.TCP_MD5SIG},
	{unix.SOL_TCP, unix.TCP_MD5SIG_EXT},
	{unix.SOL_TCP, unix.TCP_FASTOPEN_KEY},
	{unix.SOL_TCP, tcpAOAddKey},
	{unix.SOL_TCP, tcpAODelKey},
	{unix.SOL_TCP, tcpAOGetKeys},
	{solSCTP, sctpAuthKey},
	{unix.SOL_RXRPC, rxrpcSecurityKey},
	{unix.SOL_RXRPC, rxrpcSecurityRing},
	{unix.SOL_ALG, unix.ALG_SET_KEY},
	{unix.SOL_ALG, algSetPubkey},
	{unix.SOL_ALG, unix.ALG_SET_KEY_BY_KEY_SERIAL},
	{unix.SOL_TLS, tlsTX},
	{unix.SOL_TLS, tlsRX},
}

// unknownPairs are options that nobody knows. They may be a newer kernel's
// secrets.
func unknownPairs() [][2]int {
	var pairs [][2]int
	for _, level := range []int{
		unix.SOL_IP, unix.SOL_SOCKET, unix.SOL_TCP, unix.SOL_UDP, unix.SOL_IPV6, solSCTP,
		unix.SOL_PACKET, unix.SOL_NETLINK, unix.SOL_ALG, unix.SOL_TLS, unix.SOL_MPTCP,
	} {
		pairs = append(pairs, [2]int{level, 250}, [2]int{level, 5000}, [2]int{level, -3})
	}
	return append(pairs, [2]int{9999, 1}, [2]int{-1, 4}, [2]int{300, 11})
}

// control is an option that everybody may see, TCP_CONGESTION: where nothing
// of it is found, the search finds nothing at all.
var control = [2]int{unix.SOL_TCP, unix.TCP_CONGESTION}

// answered makes every call of a cgroup's programs succeed with the key for its
// value, as a kernel would that has all these options. The control's value is
// a word.
func answered(t *testing.T, key []byte, word string) (cgroup string) {
	t.Helper()
	cgroup = filepath.Join(cgroup2(t), fmt.Sprintf("differential-%d", os.Getpid()))
	if err := os.Mkdir(cgroup, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(cgroup); err != nil {
			t.Error(err)
		}
	})
	half := func(b []byte, i int) int64 { return int64(binary.NativeEndian.Uint64(b[8*i:])) }
	padded := append([]byte(word), make([]byte, keySize)...)
	// struct bpf_sockopt of include/uapi/linux/bpf.h
	const optval, optvalEnd, level, optname, optlen, retval = 8, 16, 24, 28, 32, 36
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.CGroupSockopt, AttachType: ebpf.AttachCGroupGetsockopt, License: "Apache-2.0",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R2, asm.R1, optval, asm.DWord),
			asm.LoadMem(asm.R3, asm.R1, optvalEnd, asm.DWord),
			asm.Mov.Reg(asm.R4, asm.R2),
			asm.Add.Imm(asm.R4, keySize),
			asm.JGT.Reg(asm.R4, asm.R3, "return"),
			asm.LoadImm(asm.R4, half(key, 0), asm.DWord),
			asm.LoadImm(asm.R5, half(key, 1), asm.DWord),
			asm.LoadMem(asm.R0, asm.R1, level, asm.Word),
			asm.JNE.Imm(asm.R0, int32(control[0]), "store"),
			asm.LoadMem(asm.R0, asm.R1, optname, asm.Word),
			asm.JNE.Imm(asm.R0, int32(control[1]), "store"),
			asm.LoadImm(asm.R4, half(padded, 0), asm.DWord),
			asm.LoadImm(asm.R5, half(padded, 1), asm.DWord),
			asm.StoreMem(asm.R2, 0, asm.R4, asm.DWord).WithSymbol("store"),
			asm.StoreMem(asm.R2, 8, asm.R5, asm.DWord),
			asm.Mov.Imm(asm.R0, keySize),
			asm.StoreMem(asm.R1, optlen, asm.R0, asm.Word),
			asm.Mov.Imm(asm.R0, 0),
			asm.StoreMem(asm.R1, retval, asm.R0, asm.Word),
			asm.Mov.Imm(asm.R0, 1).WithSymbol("return"),
			asm.Return(),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	attached, err := link.AttachCgroup(link.CgroupOptions{Path: cgroup, Attach: ebpf.AttachCGroupGetsockopt, Program: program})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { attached.Close(); program.Close() })
	return cgroup
}

// cgroup2 is where the second version's hierarchy is mounted.
func cgroup2(t *testing.T) string {
	t.Helper()
	mounts, err := os.Open("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	defer mounts.Close()
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); fields[2] == "cgroup2" {
			return fields[1]
		}
	}
	t.Fatal("no cgroup2 file system is mounted")
	return ""
}

// pairsProgram joins the cgroup and reads every secret option.
func pairsProgram() {
	must(os.WriteFile(filepath.Join(os.Getenv("CGROUP"), "cgroup.procs"), []byte("0"), 0o600))
	key, err := hex.DecodeString(os.Getenv("KEY"))
	must(err)
	get := func(pair [2]int, f fact) {
		for _, fd := range []int{socket(unix.AF_INET, unix.SOCK_STREAM, 0), socket(unix.AF_INET6, unix.SOCK_DGRAM, 0)} {
			b := mustAsk(fd, pair[0], pair[1], 64)
			if pair != control && !bytes.Equal(b, key) {
				must(fmt.Errorf("%v answers %x: the cgroup's program is not there", pair, b))
			}
			expect(f.with(fact{"socket.option.level_code": pair[0], "socket.option.code": pair[1], "socket.option.length_out": keySize}))
			must(unix.Close(fd))
		}
	}
	for _, pair := range secretPairs {
		get(pair, fact{"socket.option.value": "<redacted>", "socket.option.value_int": nil})
	}
	for _, pair := range unknownPairs() {
		get(pair, fact{"socket.option.value": nil, "socket.option.value_int": nil, "name": "getsockopt"})
	}
	get(control, fact{"socket.option.value": os.Getenv("WORD")})
}

// TestSecretsStayInTheKernel lets every secret option succeed, whatever this
// kernel was built with.
func TestSecretsStayInTheKernel(t *testing.T) {
	key := newKey(t)
	word := "word" + hex.EncodeToString(newKey(t)[:4])
	cgroup := answered(t, key, word)
	maps := newestMap(t)
	r := watch(t, everything())
	c := program(t, "pairs", "CGROUP="+cgroup, "KEY="+hex.EncodeToString(key), "WORD="+word)
	known := run(t, c)
	spans := of(r.finish(t), c.Process.Pid)
	compareFacts(t, spans, known)
	if searched := search(t, maps, []byte(word)); searched == 0 {
		t.Error("not even the control is in the ring: this shows nothing")
	}
	checkNoKey(t, maps, key, spans)
	t.Logf("%d calls answered with a key", len(spans))
}

// keysProgram sets real keys and reads their options.
func keysProgram() {
	key, err := hex.DecodeString(os.Getenv("KEY"))
	must(err)
	hidden := fact{"socket.option.value": "<redacted>", "socket.option.value_int": nil, "status": statusUnset}
	failed := fact{"socket.option.value": nil, "socket.option.value_int": nil, "status": statusError}
	// The buffer already holds the key: a call that fails leaves it there.
	get := func(fd, level, option int) {
		buffer := bytes.Repeat(key, 8)
		length := int32(len(buffer))
		errno := getsockopt(fd, level, option, unsafe.Pointer(&buffer[0]), unsafe.Pointer(&length))
		if errno != 0 {
			expect(failed)
		} else {
			expect(hidden)
		}
	}
	listener, address := listen(unix.AF_INET, 0)
	must(unix.SetsockoptString(listener, unix.SOL_TCP, unix.TCP_FASTOPEN_KEY, string(key)))
	if b := mustAsk(listener, unix.SOL_TCP, unix.TCP_FASTOPEN_KEY, 32); !bytes.HasPrefix(b, key) {
		must(errors.New("the kernel does not give the key back"))
	}
	expect(hidden.with(fact{"socket.option.name": "TCP_FASTOPEN_KEY"}))
	for _, family := range []int{unix.AF_INET, unix.AF_INET6, unix.AF_UNIX} {
		fd := socket(family, unix.SOCK_STREAM, 0)
		for _, pair := range secretPairs {
			if pair != [2]int{unix.SOL_TCP, unix.TCP_FASTOPEN_KEY} {
				get(fd, pair[0], pair[1])
			}
		}
	}
	// A connection whose records the kernel encrypts, if it can.
	client := socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(unix.Connect(client, address))
	if unix.SetsockoptString(client, unix.SOL_TCP, unix.TCP_ULP, "tls") == nil {
		// struct tls12_crypto_info_aes_gcm_128 of include/uapi/linux/tls.h
		const version12, aesGCM128 = 0x303, 51
		info := binary.NativeEndian.AppendUint16(nil, version12)
		info = binary.NativeEndian.AppendUint16(info, aesGCM128)
		info = append(append(append(append(info, key[:8]...), key...), key[:4]...), make([]byte, 8)...)
		must(unix.SetsockoptString(client, unix.SOL_TLS, tlsTX, string(info)))
		if b := mustAsk(client, unix.SOL_TLS, tlsTX, len(info)); !bytes.Contains(b, key) {
			must(errors.New("the kernel does not give the key back"))
		}
		expect(hidden.with(fact{"socket.option.name": "TLS_TX"}))
	} else {
		get(client, unix.SOL_TLS, tlsTX)
	}
}

func TestRealKeysAreRedacted(t *testing.T) {
	key := newKey(t)
	maps := newestMap(t)
	spans := observe(t, everything(), "keys", "KEY="+hex.EncodeToString(key))
	checkNoKey(t, maps, key, spans)
	if last := spans[len(spans)-1].attributes; last["error.type"] != nil {
		t.Logf("this kernel has no TLS: %v", last["error.type"])
	}
}

func newKey(t *testing.T) []byte {
	t.Helper()
	key := make([]byte, keySize)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	return key
}

func checkNoKey(t *testing.T, maps ebpf.MapID, key []byte, spans []span) {
	t.Helper()
	// A part of a key is a secret as well.
	for at := 0; at+8 <= len(key); at += 8 {
		if n := search(t, maps, key[at:at+8]); n != 0 {
			t.Errorf("the key is %d times in what user space can read", n)
		}
	}
	for _, s := range spans {
		for name, value := range s.attributes {
			if text := fmt.Sprint(value); strings.Contains(text, string(key[:4])) || strings.Contains(text, hex.EncodeToString(key[:4])) {
				t.Errorf("the key shows in %s: %q", name, text)
			}
		}
	}
}

// newestMap is the number of the last BPF map there is.
func newestMap(t *testing.T) ebpf.MapID {
	t.Helper()
	var last ebpf.MapID
	for {
		next, err := ebpf.MapGetNextID(last)
		if errors.Is(err, os.ErrNotExist) {
			return last
		}
		if err != nil {
			t.Fatal(err)
		}
		last = next
	}
}

// search counts how often bytes are in the rings made since, the whole memory
// of which user space can read, and in the other maps.
func search(t *testing.T, since ebpf.MapID, what []byte) (found int) {
	t.Helper()
	rings := 0
	for id := since; ; {
		next, err := ebpf.MapGetNextID(id)
		if err != nil {
			break
		}
		id = next
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			continue // it is gone
		}
		if m.Type() == ebpf.RingBuf {
			rings++
			found += searchRing(t, m, what)
		} else {
			found += searchMap(m, what)
		}
		m.Close()
	}
	if rings == 0 {
		t.Error("no ring to search")
	}
	return found
}

func searchRing(t *testing.T, m *ebpf.Map, what []byte) int {
	t.Helper()
	// The consumer's page, then the producer's, then the records.
	page := os.Getpagesize()
	b, err := unix.Mmap(m.FD(), int64(page), page+int(m.MaxEntries()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatalf("map the ring: %v", err)
	}
	n := bytes.Count(b, what)
	if err := unix.Munmap(b); err != nil {
		t.Error(err)
	}
	return n
}

// searchMap looks into a map whose entries can be walked.
func searchMap(m *ebpf.Map, what []byte) (found int) {
	var key, value []byte
	var perCPU [][]byte
	each := m.Iterate()
	for {
		into := any(&value)
		if m.Type() == ebpf.PerCPUArray || m.Type() == ebpf.PerCPUHash || m.Type() == ebpf.LRUCPUHash {
			into = &perCPU
		}
		if !each.Next(&key, into) {
			return found
		}
		found += bytes.Count(key, what) + bytes.Count(value, what)
		for _, v := range perCPU {
			found += bytes.Count(v, what)
		}
	}
}
