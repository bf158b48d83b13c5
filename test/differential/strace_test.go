// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// straceCall is one call as strace wrote it.
type straceCall struct {
	thread               int
	fd                   string // with -yy: 3<TCP:[127.0.0.1:1->127.0.0.1:2]>
	level, option        string
	value, length        string
	result, errno        string
	line                 string
	lengthIn, lengthOut  int64
	hasLength, hasResult bool
}

// trace runs a program under strace, as strace's child. Strings come in
// hexadecimal, so that they can be read back without loss.
func strace(t *testing.T, sockets bool, c *exec.Cmd) (traced *exec.Cmd, file string) {
	t.Helper()
	path, err := exec.LookPath("strace")
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "strace")
	args := []string{"strace", "-f", "-qq", "-v", "-xx", "-s", "8192", "-e", "trace=getsockopt", "-e", "signal=none", "-o", file}
	if sockets {
		args = append(args, "-yy")
	}
	traced = &exec.Cmd{Path: path, Args: append(append(args, "--", c.Path), c.Args[1:]...), Env: c.Env, Dir: c.Dir}
	return traced, file
}

// straced reads what strace wrote.
func straced(t *testing.T, file string) []straceCall {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	calls, err := parseStrace(string(b))
	if err != nil {
		t.Fatal(err)
	}
	return calls
}

var (
	straceThread  = regexp.MustCompile(`^(\d+) +(.*)$`)
	straceResumed = regexp.MustCompile(`^<\.\.\. getsockopt resumed> ?(.*)$`)
	straceResult  = regexp.MustCompile(`^ *= (\?|-?\d+)(?: \(?([A-Za-z]+[0-9]*|errno \d+)\b.*)?$`)
	straceLength  = regexp.MustCompile(`^\[(-?\d+)(?: => (-?\d+))?\]$`)
)

const (
	straceBegin      = "getsockopt("
	straceUnfinished = "<unfinished ...>"
)

// parseStrace reads the calls in the order in which they returned. Threads run
// side by side: a call that another thread's line cuts in two is put together.
func parseStrace(text string) ([]straceCall, error) {
	var calls []straceCall
	unfinished := map[int]string{}
	for line := range strings.Lines(text) {
		m := straceThread.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		thread, _ := strconv.Atoi(m[1])
		rest := m[2]
		if resumed := straceResumed.FindStringSubmatch(rest); resumed != nil {
			rest = unfinished[thread] + resumed[1]
			delete(unfinished, thread)
		}
		if !strings.HasPrefix(rest, straceBegin) {
			continue // a signal, an exit
		}
		if begun, found := strings.CutSuffix(rest, straceUnfinished); found {
			unfinished[thread] = strings.TrimRight(begun, " ") + " "
			continue
		}
		c := straceCall{thread: thread, line: line}
		if err := c.parse(rest); err != nil {
			return nil, err
		}
		calls = append(calls, c)
	}
	return calls, nil
}

func (c *straceCall) parse(text string) error {
	arguments, rest := splitArguments(text[len(straceBegin):])
	if len(arguments) != 5 {
		return errors.New("not a call of five arguments: " + c.line)
	}
	c.fd, c.level, c.option, c.value, c.length = arguments[0], arguments[1], arguments[2], arguments[3], arguments[4]
	m := straceResult.FindStringSubmatch(rest)
	if m == nil {
		return errors.New("not a result: " + c.line)
	}
	c.result, c.errno, c.hasResult = m[1], m[2], m[1] != "?"
	if m := straceLength.FindStringSubmatch(c.length); m != nil {
		c.hasLength = true
		c.lengthIn, _ = strconv.ParseInt(m[1], 10, 64)
		c.lengthOut = c.lengthIn
		if m[2] != "" {
			c.lengthOut, _ = strconv.ParseInt(m[2], 10, 64)
		}
	}
	return nil
}

// splitArguments splits at the commas outside of brackets, strings and
// comments, up to the parenthesis that closes the call.
func splitArguments(text string) (arguments []string, rest string) {
	var depth, start int
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '/':
			if strings.HasPrefix(text[i:], "/*") {
				if end := strings.Index(text[i:], "*/"); end > 0 {
					i += end + 1
				}
			}
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			if depth == 0 {
				return append(arguments, strings.TrimSpace(text[start:i])), text[i+1:]
			}
			depth--
		case ',':
			if depth == 0 {
				arguments = append(arguments, strings.TrimSpace(text[start:i]))
				start = i + 1
			}
		}
	}
	return nil, ""
}

// straceNumber reads a number that strace had no name for: 0x57 /* SO_??? */,
// or just 87.
func straceNumber(text string) (int64, bool) {
	number, _, _ := strings.Cut(text, " ")
	n, err := strconv.ParseInt(number, 0, 64)
	if err != nil {
		return 0, false
	}
	return int64(int32(n)), true
}

var straceName = regexp.MustCompile(`^[A-Z][A-Z0-9_]*[A-Z0-9]$|^[A-Z]\w+$`)

// straceBytes are the bytes that strace showed of a value: of a string, or of
// an int that it took the value for.
func straceBytes(text string) ([]byte, bool) {
	if strings.HasPrefix(text, `"`) && strings.HasSuffix(text, `"`) {
		s, err := strconv.Unquote(text)
		return []byte(s), err == nil
	}
	inner, found := strings.CutPrefix(text, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if !found || !closed {
		return nil, false
	}
	var b bytes.Buffer
	if inner == "" {
		return nil, true
	}
	for _, number := range strings.Split(inner, ", ") {
		n, err := strconv.ParseInt(number, 0, 64)
		if err != nil {
			return nil, false
		}
		for shift := 0; shift < 32; shift += 8 {
			b.WriteByte(byte(n >> shift))
		}
	}
	return b.Bytes(), true
}

func TestParseStrace(t *testing.T) {
	calls, err := parseStrace(`7 getsockopt(3<TCP:[[::1]:1->[::1]:2]>, SOL_SOCKET, SO_ERROR, [ECONNREFUSED], [4]) = 0
8 getsockopt(4, SOL_TCP, TCP_INFO,  <unfinished ...>
7 +++ exited with 0 +++
9 getsockopt(5<UNIX-STREAM:[1->2,@"\x61, )"]>, SOL_SOCKET, 0x63 /* SO_??? */, 0x7ffe, [4]) = -1 ENOPROTOOPT (Protocol not available)
8 <... getsockopt resumed>"\x01\x22", [104 => 2]) = 0
9 getsockopt(-1, 0x2a /* SOL_??? */, 7, NULL, NULL) = -1 EBADF (Bad file descriptor)
9 getsockopt(5, SOL_TLS, TLS_TX, 0x1, [-1]) = -1 ENOTSUPP (Unknown error 524)
9 getsockopt(5, SOL_SOCKET, SO_ERROR, 0x1, 0x2) = ?
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []straceCall{
		{thread: 7, level: "SOL_SOCKET", option: "SO_ERROR", value: "[ECONNREFUSED]", result: "0", lengthIn: 4, lengthOut: 4},
		{thread: 9, level: "SOL_SOCKET", option: "0x63 /* SO_??? */", value: "0x7ffe", result: "-1", errno: "ENOPROTOOPT", lengthIn: 4, lengthOut: 4},
		{thread: 8, level: "SOL_TCP", option: "TCP_INFO", value: `"\x01\x22"`, result: "0", lengthIn: 104, lengthOut: 2},
		{thread: 9, level: "0x2a /* SOL_??? */", option: "7", value: "NULL", result: "-1", errno: "EBADF"},
		{thread: 9, level: "SOL_TLS", option: "TLS_TX", value: "0x1", result: "-1", errno: "ENOTSUPP", lengthIn: -1, lengthOut: -1},
		{thread: 9, level: "SOL_SOCKET", option: "SO_ERROR", value: "0x1", result: "?"},
	}
	if len(calls) != len(want) {
		t.Fatalf("%d calls, want %d: %+v", len(calls), len(want), calls)
	}
	for i, c := range calls {
		w := want[i]
		if c.thread != w.thread || c.level != w.level || c.option != w.option || c.value != w.value || c.result != w.result ||
			c.errno != w.errno || c.lengthIn != w.lengthIn || c.lengthOut != w.lengthOut {
			t.Errorf("got  %+v\nwant %+v", c, w)
		}
	}
}
