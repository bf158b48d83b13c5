// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// comparison holds spans against strace's lines, and counts what could be
// compared: a test that compares nothing is worth nothing.
type comparison struct {
	t     *testing.T
	count map[string]int
	// differences are reported once for each kind of option and difference.
	differences map[string]int
	reviewed    map[*review]int
}

func newComparison(t *testing.T) *comparison {
	return &comparison{t: t, count: map[string]int{}, differences: map[string]int{}, reviewed: map[*review]int{}}
}

// The kinds of things compared.
const (
	counted        = "calls"
	countedLevel   = "level names"
	countedName    = "option names"
	countedResult  = "results"
	countedErrno   = "errnos"
	countedLength  = "lengths"
	countedInt     = "values as an int"
	countedText    = "values as text"
	countedBytes   = "values as bytes"
	countedSecret  = "values redacted"
	countedAddress = "addresses"
)

// calls compares the calls of each thread in their order. Threads that strace
// did not follow are others' business.
func (c *comparison) calls(lines []straceCall, spans []span) {
	c.t.Helper()
	linesOf, spansOf := map[int][]straceCall{}, map[int][]span{}
	processes := map[int]bool{}
	for _, l := range lines {
		linesOf[l.thread] = append(linesOf[l.thread], l)
	}
	for _, s := range spans {
		thread := int(s.attributes["thread.id"].(int64))
		spansOf[thread] = append(spansOf[thread], s)
		if linesOf[thread] != nil {
			processes[s.process] = true
		}
	}
	for _, s := range spans {
		if thread := int(s.attributes["thread.id"].(int64)); processes[s.process] && linesOf[thread] == nil {
			c.t.Errorf("thread %d of process %d called, which strace did not see: %v", thread, s.process, s.attributes)
		}
	}
	for thread, own := range linesOf {
		if len(own) != len(spansOf[thread]) {
			c.t.Errorf("thread %d: strace saw %d calls, the receiver %d", thread, len(own), len(spansOf[thread]))
		}
		for i := range min(len(own), len(spansOf[thread])) {
			c.call(&own[i], spansOf[thread][i].attributes)
		}
	}
}

// call compares one call.
func (c *comparison) call(l *straceCall, a map[string]any) {
	c.count[counted]++
	c.level(l, a)
	c.name(l, a)
	c.result(l, a)
	c.lengths(l, a)
	c.value(l, a)
	c.socket(l, a)
}

// differ notes a difference, unless a review has strace as wrong.
func (c *comparison) differ(l *straceCall, a map[string]any, format string, args ...any) {
	for i := range reviews {
		r := &reviews[i]
		if r.option.MatchString(fmt.Sprint(a["socket.option.name"])) && r.strace.MatchString(l.value) && r.holds(l, a) {
			c.reviewed[r]++
			return
		}
	}
	what := fmt.Sprintf(format, args...)
	key := fmt.Sprint(a["socket.option.level"], " ", a["socket.option.name"], ": ", what)
	c.differences[key]++
	if c.differences[key] == 1 && len(c.differences) <= 100 {
		c.t.Errorf("%s\n    strace: %s    receiver: %v", key, l.line, a)
	}
}

func (c *comparison) level(l *straceCall, a map[string]any) {
	if n, ok := straceNumber(l.level); ok {
		if a["socket.option.level_code"] != n {
			c.differ(l, a, "level %v, strace reports %d", a["socket.option.level_code"], n)
		}
		return
	}
	c.count[countedLevel]++
	got, _ := a["socket.option.level"].(string)
	if rest, found := strings.CutPrefix(got, "IPPROTO_"); found {
		got = "SOL_" + rest
	}
	if got != l.level {
		c.differ(l, a, "level %s, strace reports %s", got, l.level)
	}
}

func (c *comparison) name(l *straceCall, a map[string]any) {
	got, _ := a["socket.option.name"].(string)
	if n, ok := straceNumber(l.option); ok {
		if a["socket.option.code"] != n {
			c.differ(l, a, "option %v, strace reports %d", a["socket.option.code"], n)
		}
		return
	}
	if gone.MatchString(l.option) {
		return
	}
	c.count[countedName]++
	want := l.option
	if !strings.HasPrefix(want, "SCTP_") {
		want = strings.TrimSuffix(want, "_OLD") // as a programmer writes it
	}
	if got != want {
		c.differ(l, a, "option %s, strace reports %s", got, l.option)
	}
	if a["name"] != "getsockopt "+want {
		c.differ(l, a, "span %s", a["name"])
	}
}

func (c *comparison) result(l *straceCall, a map[string]any) {
	if !l.hasResult {
		return // the process ended within the call
	}
	c.count[countedResult]++
	returned, _ := a["syscall.return_value"].(int64)
	if l.errno == "" {
		if strconv.FormatInt(returned, 10) != l.result {
			c.differ(l, a, "returned %d, strace reports %s", returned, l.result)
		}
		return
	}
	c.count[countedErrno]++
	want := l.errno
	if strings.HasPrefix(want, "errno ") {
		want = "_OTHER"
	}
	if returned >= 0 || a["error.type"] != want || a["status"] != statusError {
		c.differ(l, a, "returned %d, %v, %v, strace reports %s", returned, a["error.type"], a["status"], want)
	}
	if a["socket.option.value"] != nil {
		c.differ(l, a, "a value although it failed")
	}
}

func (c *comparison) lengths(l *straceCall, a map[string]any) {
	if !l.hasLength {
		return
	}
	c.count[countedLength]++
	if a["socket.option.length_in"] != l.lengthIn || a["socket.option.length_out"] != l.lengthOut {
		c.differ(l, a, "length %v => %v, strace reports %s", a["socket.option.length_in"], a["socket.option.length_out"], l.length)
	}
}

// value compares what the program received. strace writes most values as an
// int when four bytes came back and as bytes otherwise: the bytes are read
// here again, by readers of this package's own.
func (c *comparison) value(l *straceCall, a map[string]any) {
	name, _ := a["socket.option.name"].(string)
	got, hasValue := a["socket.option.value"].(string)
	if l.errno != "" || !l.hasResult {
		return
	}
	if secrets[name] {
		c.count[countedSecret]++
		if got != "<redacted>" {
			c.differ(l, a, "value %q of a secret", got)
		}
		return
	}
	b, isBytes := straceBytes(l.value)
	inner := strings.TrimSuffix(strings.TrimPrefix(l.value, "["), "]")
	switch {
	case isBytes && readers[name] != nil:
		c.count[countedBytes]++
		if want := readers[name](b, l); got != want {
			c.differ(l, a, "value %q, want %q from the bytes", got, want)
		}
	case isBytes:
		c.number(l, a, b)
	case straceName.MatchString(inner), strings.HasPrefix(l.value, "{") && !strings.Contains(l.value, `"\x`):
		c.count[countedText]++
		if got != inner {
			c.differ(l, a, "value %q, strace reports %s", got, inner)
		}
		if name == "SO_ERROR" && a["error.type"] != inner {
			c.differ(l, a, "error %v, strace reports %s", a["error.type"], inner)
		}
	case strings.HasPrefix(l.value, "0x") || l.value == "NULL": // nothing came
		if hasValue {
			c.differ(l, a, "value %q of nothing", got)
		}
	default:
		c.differ(l, a, "value %q, strace reports %s", got, l.value)
	}
}

// number compares a value that is a number of up to eight bytes.
func (c *comparison) number(l *straceCall, a map[string]any, b []byte) {
	name, _ := a["socket.option.name"].(string)
	got, isNumber := a["socket.option.value_int"].(int64)
	if name == "_OTHER" && a["socket.option.value"] == nil && !isNumber {
		return // an option without a name: nobody knows what its bytes mean
	}
	if len(b) > 8 || len(b) == 0 {
		c.differ(l, a, "value %v, and nobody read the bytes again", a["socket.option.value"])
		return
	}
	c.count[countedInt]++
	var whole [8]byte
	copy(whole[:], b)
	want := int64(binary.LittleEndian.Uint64(whole[:]))
	if len(b) == 4 && !unsigned[name] {
		want = int64(int32(want))
	}
	if !isNumber || got != want {
		c.differ(l, a, "value %v (%v), strace reports %s", a["socket.option.value_int"], a["socket.option.value"], l.value)
	}
}

var (
	straceSocket = regexp.MustCompile(`^(-?\d+)(?:<(TCP|UDP|UDPLITE|TCPv6|UDPv6|UDPLITEv6):\[([^>]*?)(?:->(.*))?\]>)?`)
	straceUnix   = regexp.MustCompile(`<UNIX-\w+:\[\d+(?:->\d+)?,(@?"(?:[^"\\]|\\.)*")\]>`)
)

// socket compares the descriptor, and the addresses where strace asked for
// them.
func (c *comparison) socket(l *straceCall, a map[string]any) {
	m := straceSocket.FindStringSubmatch(l.fd)
	if m == nil || fmt.Sprint(a["socket.fd"]) != m[1] {
		c.differ(l, a, "descriptor %v, strace reports %s", a["socket.fd"], l.fd)
		return
	}
	if local, err := netip.ParseAddrPort(m[3]); err == nil {
		c.address(l, a, "network.local", local)
		if peer, err := netip.ParseAddrPort(m[4]); err == nil {
			c.address(l, a, "network.peer", peer)
		}
	}
	if m := straceUnix.FindStringSubmatch(l.fd); m != nil {
		c.count[countedAddress]++
		path, isAbstract := strings.CutPrefix(m[1], "@")
		want, err := strconv.Unquote(path)
		if isAbstract {
			want = "@" + want
		}
		if got := a["network.local.address"]; err != nil || got != want {
			c.differ(l, a, "local address %v, strace reports %s", got, m[1])
		}
	}
}

func (c *comparison) address(l *straceCall, a map[string]any, of string, want netip.AddrPort) {
	c.count[countedAddress]++
	if got := a[of+".address"]; got != want.Addr().Unmap().WithZone("").String() {
		c.differ(l, a, "%s.address %v, strace reports %s", of, got, want)
	}
	if got := a[of+".port"]; got != int64(want.Port()) {
		c.differ(l, a, "%s.port %v, strace reports %s", of, got, want)
	}
}

// report logs how much was compared.
func (c *comparison) report() {
	c.t.Helper()
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(c.count)) {
		parts = append(parts, fmt.Sprintf("%d %s", c.count[what], what))
	}
	c.t.Logf("compared %s", strings.Join(parts, ", "))
	for r, n := range c.reviewed {
		c.t.Logf("%d times strace was wrong or knew less: %s", n, r.why)
	}
}

// atLeast fails when less was compared than is known to be there.
func (c *comparison) atLeast(least map[string]int) {
	c.t.Helper()
	for what, n := range least {
		if c.count[what] < n {
			c.t.Errorf("%d %s compared, want at least %d", c.count[what], what, n)
		}
	}
}
