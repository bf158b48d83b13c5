// SPDX-License-Identifier: Apache-2.0

package sockopt

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// strace is an independent reference: these tests run this binary under it, as a
// sweep of getsockopt calls, and compare what both report of each call.

// sweepEnv makes the test binary run a sweep in place of the tests.
const sweepEnv = "SOCKOPT_TEST_SWEEP"

func TestMain(m *testing.M) {
	switch os.Getenv(sweepEnv) {
	case "names":
		sweepNames()
	case "values":
		sweepValues()
	default:
		os.Exit(m.Run())
	}
}

// call is what the sweep did, and what strace wrote of it.
type call struct {
	level, code   int32
	family        uint16
	given, length uint32
	value         []byte
	failed        bool

	levelName, name, text string // strace's
}

func getsockopt(fd int, level, code int32, b []byte) (uint32, error) {
	n := uint32(len(b))
	_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(code),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return n, errno
	}
	return n, nil
}

// eachName walks the calls of the names' sweep, in which no option is ever
// read: the descriptor is bad.
func eachName(do func(level, code int32)) {
	for level := int32(-1); level < 300; level++ {
		if LevelName(level, Where{}) == Other && level%50 != 7 {
			continue // without a name; a few of them will do
		}
		for code := int32(0); code < 216; code++ {
			do(level, code)
		}
	}
}

func sweepNames() {
	b := make([]byte, 4)
	eachName(func(level, code int32) { _, _ = getsockopt(-1, level, code, b) })
}

// traced runs a sweep under strace and returns what strace wrote.
func traced(t *testing.T, sweep string) (out string, trace []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command("strace", "-f", "-qq", "-e", "trace=getsockopt", "-e", "signal=none", "-o", file, os.Args[0])
	cmd.Env = append(os.Environ(), sweepEnv+"="+sweep)
	stdout, err := cmd.Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			t.Fatalf("strace: %v\n%s", err, failed.Stderr)
		}
		t.Fatalf("strace: %v", err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(stdout), strings.Split(strings.TrimRight(string(text), "\n"), "\n")
}

var straceLine = regexp.MustCompile(
	`^\d+ +getsockopt\(-?\d+, ([^,]+), ([^,]+), (.*), (?:\[.*\]|0x[0-9a-f]+|NULL)\) += (.*)$`)

// read fills in strace's part of a call, and reports whether strace could name
// the pair.
func (c *call) read(t *testing.T, line string) bool {
	t.Helper()
	m := straceLine.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("strace wrote %q", line)
	}
	c.levelName, c.name, c.text = m[1], m[2], m[3]
	return strings.HasPrefix(c.levelName, "SOL_") || strings.HasPrefix(c.levelName, "AF_")
}

// asStrace is our level in strace's spelling.
func asStrace(level string) string {
	if rest, ok := strings.CutPrefix(level, "IPPROTO_"); ok {
		return "SOL_" + rest
	}
	return level
}

// notInKernels are the options that strace 6.1 still names although no kernel
// from 5.10 on has them: they are in no UAPI header.
var notInKernels = regexp.MustCompile(
	`^(TCP_COOKIE_TRANSACTIONS|SCTP_GET_(PEER|LOCAL)_ADDRS(_NUM)?_OLD|IRLMP_\w+|RDS_BARRIER)$`)

func TestNamesAgreeWithStrace(t *testing.T) {
	_, lines := traced(t, "names")
	named, levels, i := 0, 0, 0
	eachName(func(level, code int32) {
		if i >= len(lines) {
			i++
			return
		}
		c := call{level: level, code: code}
		known := c.read(t, lines[i])
		i++
		if known {
			levels++
			if got := asStrace(LevelName(level, Where{})); got != c.levelName {
				t.Errorf("level %d: %s, strace reports %s", level, got, c.levelName)
			}
		}
		if !known || strings.HasPrefix(c.name, "0x") || strings.Contains(c.name, "/*") || notInKernels.MatchString(c.name) {
			return
		}
		if _, err := strconv.Atoi(c.name); err == nil {
			return
		}
		named++
		want := c.name
		if strings.HasSuffix(want, "_OLD") && want != "SCTP_SOCKOPT_CONNECTX_OLD" {
			want = strings.TrimSuffix(want, "_OLD") // as a programmer writes it
		}
		if o, ok := Lookup(level, code, Where{}); !ok || o.Name != want {
			t.Errorf("(%d, %d): %q, strace reports %s", level, code, o.Name, want)
		}
	})
	if i != len(lines) {
		t.Errorf("%d calls, strace saw %d", i, len(lines))
	}
	if named < 400 {
		t.Errorf("strace named only %d options", named)
	}
	t.Logf("%d calls, %d with a level and %d with a name in strace", i, levels, named)
}

// sockets are the kinds whose options the values' sweep reads.
var sockets = []struct{ family, kind, protocol int }{
	{syscall.AF_INET, syscall.SOCK_STREAM, 0},
	{syscall.AF_INET, syscall.SOCK_DGRAM, 0},
	{syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_ICMP},
	{syscall.AF_INET6, syscall.SOCK_STREAM, 0},
	{syscall.AF_INET6, syscall.SOCK_DGRAM, 0},
	{syscall.AF_INET6, syscall.SOCK_RAW, syscall.IPPROTO_ICMPV6},
	{syscall.AF_INET, syscall.SOCK_STREAM, 262}, // MPTCP
	{syscall.AF_UNIX, syscall.SOCK_STREAM, 0},
	{syscall.AF_NETLINK, syscall.SOCK_RAW, syscall.NETLINK_ROUTE},
	{syscall.AF_PACKET, syscall.SOCK_RAW, 0},
	{afVSOCK, syscall.SOCK_STREAM, 0},
	{44, syscall.SOCK_RAW, 0}, // AF_XDP
}

// sweepValues reads each option of each socket at several lengths, and prints
// what it got.
func sweepValues() {
	w := bufio.NewWriter(os.Stdout)
	defer w.Flush()
	for _, s := range sockets {
		fd, err := syscall.Socket(s.family, s.kind, s.protocol)
		if err != nil {
			continue // this kernel has no such sockets
		}
		for _, level := range []int32{0, 1, 6, 17, 40, 41, 58, 255, 263, 270, 283, 284} {
			for code := int32(0); code < 90; code++ {
				for _, n := range []int{1, 2, 4, 8, 512} {
					b := make([]byte, n)
					got, err := getsockopt(fd, level, code, b)
					fmt.Fprintln(w, level, code, s.family, n, got, hex.EncodeToString(b[:min(int(got), n)])+".", err != nil)
				}
			}
		}
		syscall.Close(fd)
	}
}

var (
	straceInt  = regexp.MustCompile(`^\[(-?\d+)\]$`)
	straceName = regexp.MustCompile(`^\[([A-Z]\w+)\]$`)
)

// strace writes the first int of a structure, when the program asked for four
// bytes, as if the value were an int. These are the structures of that kind.
func (c *call) intOfStructure(o Option) bool {
	switch o.Layout {
	case LayoutTCPInfo, LayoutMemInfo, LayoutTxTime, LayoutCongestionInfo, LayoutTCPZeroCopy, LayoutTCPRepairWindow,
		LayoutMPTCPInfo, LayoutXDPStatistics, LayoutXDPOffsets, LayoutFlowLabel, LayoutGroups, LayoutString,
		LayoutPacketStatistics, LayoutIPv4, LayoutMembership, LayoutTCPAOInfo, LayoutMPTCPFullInfo, LayoutUcred,
		LayoutICMPv6Filter, LayoutAddress:
		return true
	}
	return false
}

func TestValuesAgreeWithStrace(t *testing.T) {
	out, lines := traced(t, "values")
	records := strings.Split(strings.TrimSpace(out), "\n")
	if len(records) != len(lines) {
		t.Fatalf("%d calls, strace saw %d", len(records), len(lines))
	}
	ints, texts := 0, 0
	for i, record := range records {
		c := call{}
		var value string
		if _, err := fmt.Sscan(record, &c.level, &c.code, &c.family, &c.given, &c.length, &value, &c.failed); err != nil {
			t.Fatalf("%q: %v", record, err)
		}
		c.value, _ = hex.DecodeString(strings.TrimSuffix(value, "."))
		c.read(t, lines[i])
		w := Where{Family: c.family}
		o, ok := Lookup(c.level, c.code, w)
		if c.failed || !ok {
			continue
		}
		v := o.Format(c.value, c.length, w)
		if m := straceInt.FindStringSubmatch(c.text); m != nil && !c.intOfStructure(o) && !o.Secret {
			want, _ := strconv.ParseInt(m[1], 10, 64)
			ints++
			if !v.HasInt || v.Int != want {
				t.Errorf("%s of %s, %d bytes: %+v, strace reports %d", o.Name, FamilyName(c.family), c.length, v, want)
			}
		}
		if m := straceName.FindStringSubmatch(c.text); m != nil {
			texts++
			if v.Text != m[1] {
				t.Errorf("%s: %+v, strace reports %s", o.Name, v, m[1])
			}
		}
		if strings.HasPrefix(c.text, "{") && !strings.Contains(c.text, `\x`) {
			texts++
			if v.Text != c.text {
				t.Errorf("%s, %d bytes: %s, strace reports %s", o.Name, c.length, v.Text, c.text)
			}
		}
	}
	if ints < 900 || texts < 10 {
		t.Errorf("strace wrote only %d ints and %d structures", ints, texts)
	}
	t.Logf("%d calls, of which strace wrote %d as an int and %d as a structure", len(records), ints, texts)
}
