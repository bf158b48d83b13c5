// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// known is a run of the known program.
type known struct {
	service     string // that its calls must be found under
	cmd         *exec.Cmd
	began, over time.Time
}

// atOnce lets a program that is built with the race detector, as the known one
// may be, exit at once in place of after a second.
const atOnce = "GORACE=atexit_sleep_ms=0"

// runKnown runs the known program to its end.
func runKnown(t *testing.T, service string, cmd *exec.Cmd) known {
	t.Helper()
	cmd.Env = append(cmd.Env, atOnce)
	k := known{service: service, cmd: cmd, began: time.Now()}
	caller.Run(t, cmd)
	k.over = time.Now()
	return k
}

func (k known) pid() int { return k.cmd.Process.Pid }

// copied makes the known program an executable of that name.
func copied(t *testing.T, cmd *exec.Cmd, name string) *exec.Cmd {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	copyFile(t, cmd.Path, path)
	cmd.Path = path
	return cmd
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

func (k known) checkSpans(t *testing.T, spans []span) {
	t.Helper()
	kinds := caller.Kinds()
	if len(spans) != rounds*len(kinds) {
		t.Fatalf("%d spans, want %d", len(spans), rounds*len(kinds))
	}
	ids := map[string]bool{}
	for i, s := range spans {
		kind := kinds[i%len(kinds)]
		want := "getsockopt " + kind.Name
		if s.Name != want || s.Kind != kindInternal || s.ParentSpanID != "" {
			t.Errorf("span %d is %q, kind %d, parent %q, want %q, internal, none", i, s.Name, s.Kind, s.ParentSpanID, want)
		}
		status := statusUnset
		if kind.Return < 0 || kind.Pending != 0 {
			status = statusError
		}
		if s.Status.Code != status || s.Status.Message != "" {
			t.Errorf("span %d, %s: status %+v, want %d without a message", i, s.Name, s.Status, status)
		}
		if s.TraceState != "ot=th:0" || s.Flags&0xff != 3 {
			t.Errorf("span %d: tracestate %q, flags %#x, want ot=th:0, sampled and random", i, s.TraceState, s.Flags)
		}
		if len(s.TraceID) != 32 || len(s.SpanID) != 16 || ids[s.TraceID] || ids[s.SpanID] {
			t.Errorf("span %d: trace %q, span %q, want two new ids", i, s.TraceID, s.SpanID)
		}
		ids[s.TraceID], ids[s.SpanID] = true, true
		k.checkTimes(t, i, spans)
		k.checkAttributes(t, i, s, kind)
		if t.Failed() && (i+1)%len(kinds) == 0 {
			t.Fatal("the rounds that follow are not looked at")
		}
	}
}

func (k known) checkTimes(t *testing.T, i int, spans []span) {
	t.Helper()
	s := spans[i]
	// The clocks are compared across two processes, hence the leeway.
	const leeway = time.Millisecond
	if s.Start < uint64(k.began.Add(-leeway).UnixNano()) || s.End > uint64(k.over.Add(leeway).UnixNano()) || s.End <= s.Start {
		t.Errorf("span %d lasts from %d to %d, the program ran from %d to %d", i, s.Start, s.End, k.began.UnixNano(), k.over.UnixNano())
	}
	if i > 0 && s.Start < spans[i-1].End {
		t.Errorf("span %d begins %d ns before the one before it ends", i, spans[i-1].End-s.Start)
	}
}

// sockets are those of caller.Kinds, as a span shows them.
var sockets = []attributes{
	tcp4, tcp4, udp4, udp6, unixStream, refused4, unixStream, {}, tcp4, tcp4,
}

var (
	tcp4 = attributes{
		"socket.state": "CLOSE", "network.transport": "tcp", "network.type": "ipv4",
	}
	udp4 = attributes{
		"network.transport": "udp", "network.type": "ipv4",
	}
	udp6 = attributes{
		"socket.family": "AF_INET6", "network.transport": "udp",
	}
	unixStream = attributes{
		"socket.type": "SOCK_STREAM", "network.transport": "unix",
	}
	refused4 = attributes{
		"network.transport": "tcp", "network.type": "ipv4",
		"network.local.address": "127.0.0.1", "network.peer.address": "127.0.0.1",
	}
)

// levels of caller.Kinds.
var levels = map[int]string{1: "SOL_SOCKET", 6: "IPPROTO_TCP", 41: "IPPROTO_IPV6"}

// numbers are the values that are numbers; those of the others have names. An
// error has both.
var numbers = []any{nil, int64(0), int64(0), int64(1), nil, int64(111), nil, nil, nil, nil}

// errorNames are those of the errors that calls of the known program return.
var errorNames = map[syscall.Errno]string{
	syscall.EOPNOTSUPP: "EOPNOTSUPP", syscall.EBADF: "EBADF", syscall.EFAULT: "EFAULT",
}

func (k known) checkAttributes(t *testing.T, i int, s span, kind caller.Call) {
	t.Helper()
	of := i % len(caller.Kinds())
	want := maps.Clone(sockets[of])
	want["socket.option.level"] = levels[kind.Level]
	want["socket.option.name"] = kind.Name
	want["syscall.return_value"] = int64(kind.Return)
	switch {
	case kind.Pending != 0:
		want["error.type"] = "ECONNREFUSED"
	case kind.Return < 0:
		want["error.type"] = errorNames[syscall.Errno(-kind.Return)]
	}
	if numbers[of] != nil {
		want["socket.option.value_int"] = numbers[of]
	}
	if kind.Value != "" && (numbers[of] == nil || kind.Pending != 0) {
		want["socket.option.value"] = kind.Value
	}
	if !noLength[of] {
		want["socket.option.length_in"] = int64(4096)
		want["socket.option.length_out"] = int64(4096) // untouched
		if kind.Return == 0 {
			want["socket.option.length_out"] = int64(4)
		}
	}
	want["thread.name"] = filepath.Base(k.cmd.Path)

	got := maps.Clone(s.Attributes)
	takeInt := func(key string, low, high int64) {
		t.Helper()
		if n, ok := got[key].(int64); !ok || n < low || n > high {
			t.Errorf("span %d, %s: %s is %v, want %d to %d", i, s.Name, key, got[key], low, high)
		}
		delete(got, key)
	}
	takeInt("thread.id", int64(k.pid()), math.MaxInt32)
	takeInt("cpu.logical_number", 0, 4096)
	if len(sockets[of]) == 0 {
		takeInt("socket.fd", -1, -1)
	} else {
		takeInt("socket.fd", 3, 1024)
	}
	if want["network.peer.address"] != nil {
		takeInt("network.peer.port", 1, math.MaxUint16)
	}
	if !maps.Equal(got, want) {
		t.Errorf("span %d, %s: attributes\n%v, want\n%v", i, s.Name, listed(got), listed(want))
	}
}

// noLength marks the kind of call whose optlen is NULL.
var noLength = map[int]bool{8: true}

// checkResource compares with what /proc, or the test, knows of the process.
func (k known) checkResource(t *testing.T, spans []span, own attributes) {
	t.Helper()
	want := attributes{
		"service.name":                    k.service,
		"process.pid":                     int64(k.pid()),
		"process.parent_pid":              int64(os.Getpid()),
		"process.vpid":                    int64(k.pid()),
		"process.executable.name":         filepath.Base(k.cmd.Path),
		"process.executable.path":         k.cmd.Path,
		"process.user.id":                 int64(os.Geteuid()),
		"process.real_user.id":            int64(os.Getuid()),
		"socket.caller.pid_namespace":     inode(t, "/proc/self/ns/pid"),
		"socket.caller.mount_namespace":   inode(t, "/proc/self/ns/mnt"),
		"socket.caller.network_namespace": inode(t, "/proc/self/ns/net"),
	}
	maps.Copy(want, own)
	for i, s := range spans {
		got := maps.Clone(s.resource)
		created, _ := got["process.creation.time"].(string)
		at, err := time.Parse(time.RFC3339, created)
		// Processes are dated by the kernel's clock of boot times.
		if err != nil || at.Before(k.began.Add(-time.Second)) || at.After(k.over.Add(time.Second)) {
			t.Errorf("span %d: created at %q, started between %v and %v", i, created, k.began, k.over)
		}
		delete(got, "process.creation.time")
		// TestContainerIDsAgreeWithProcfs looks at those.
		delete(got, "process.linux.cgroup")
		delete(got, "container.id")
		if !maps.Equal(got, want) {
			t.Errorf("span %d: resource\n%v, want\n%v", i, listed(got), listed(want))
			return
		}
	}
}

// checkMetrics compares with the spans, which came another way.
func (k known) checkMetrics(t *testing.T, sink *sink, spans []span) {
	t.Helper()
	type total struct {
		calls uint64
		ns    uint64
	}
	want := map[string]total{}
	for i, s := range spans {
		errorType := ""
		if caller.Kinds()[i%len(caller.Kinds())].Return < 0 { // a pending error is not the call's
			errorType = s.Attributes["error.type"].(string)
		}
		key := fmt.Sprintf("%v/%v %s", s.Attributes["socket.option.level"], s.Attributes["socket.option.name"], errorType)
		w := want[key]
		w.calls++
		w.ns += s.End - s.Start
		want[key] = w
	}

	calls := k.metric(t, sink, "socket.getsockopt.calls", "{call}")
	counted := map[string]uint64{}
	for _, p := range calls.Sum.Points {
		first, last := spans[0].Start, spans[len(spans)-1].End
		if p.Attributes["socket.entry"] != "syscall" || p.Start > first || p.Time < last {
			t.Errorf("point %+v, want it to reach from before %d to after %d, and the entry syscall", p, first, last)
		}
		counted[seriesKey(p)] = uint64(p.AsInt)
	}
	durations := k.metric(t, sink, "socket.getsockopt.duration", "s")
	measured := map[string]bool{}
	for _, p := range durations.Histogram.Points {
		key := seriesKey(p)
		measured[key] = true
		var inBuckets uint64
		for _, n := range p.Positive.Buckets {
			inBuckets += uint64(n)
		}
		w := want[key]
		if p.Count != w.calls || inBuckets+p.ZeroCount != p.Count || p.Scale < 0 {
			t.Errorf("%s: %d calls took a time, %d in buckets, scale %d, want %d", key, p.Count, inBuckets, p.Scale, w.calls)
		}
		if math.Abs(p.Sum*1e9-float64(w.ns)) > float64(w.calls) {
			t.Errorf("%s: %v s together, the spans %d ns", key, p.Sum, w.ns)
		}
		if _, found := p.Attributes["socket.entry"]; found {
			t.Errorf("%s: a duration has its entry", key)
		}
	}
	for key, w := range want {
		if counted[key] != w.calls || !measured[key] {
			t.Errorf("%s: counted %d times, want %d; measured: %t", key, counted[key], w.calls, measured[key])
		}
	}
	if len(counted) != len(want) || len(measured) != len(want) {
		t.Errorf("%d series of calls and %d of durations, want %d", len(counted), len(measured), len(want))
	}

	errors := k.metric(t, sink, "socket.errors", "{error}")
	if len(errors.Sum.Points) != 1 || errors.Sum.Points[0].AsInt != rounds ||
		!maps.Equal(errors.Sum.Points[0].Attributes, attributes{"error.type": "ECONNREFUSED"}) {
		t.Errorf("socket.errors %+v, want %d ECONNREFUSED", errors.Sum.Points, rounds)
	}
}

// metric returns a metric that is cumulative, and monotonic if it is a sum.
func (k known) metric(t *testing.T, sink *sink, name, unit string) metric {
	t.Helper()
	m := sink.metricOf(k.service, name)
	if m == nil {
		t.Fatalf("no metric %s of %s", name, k.service)
	}
	d := m.Sum
	if d == nil {
		d = m.Histogram
	}
	if d == nil || m.Unit != unit || d.Temporality != temporalityCumulative || m.Sum != nil && !d.Monotonic {
		t.Fatalf("metric %+v, want it in %s, cumulative, monotonic", m, unit)
	}
	return *m
}

func seriesKey(p point) string {
	errorType, _ := p.Attributes["error.type"].(string)
	return fmt.Sprintf("%v/%v %s", p.Attributes["socket.option.level"], p.Attributes["socket.option.name"], errorType)
}

var namespaceLink = regexp.MustCompile(`^\w+:\[(\d+)\]$`)

// inode returns the number of a namespace.
func inode(t *testing.T, path string) int64 {
	t.Helper()
	link, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	match := namespaceLink.FindStringSubmatch(link)
	if match == nil {
		t.Fatalf("%s is %q", path, link)
	}
	n, err := strconv.ParseInt(match[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func listed(a attributes) string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(a)) {
		lines = append(lines, fmt.Sprintf("  %s = %#v", key, a[key]))
	}
	return strings.Join(lines, "\n")
}
