// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
)

const variable = "GETSOCKOPT_TEST_CALLS"

// Call is one call and its expected result.
type Call struct {
	Name     string // of the option: SO_ERROR
	Level    int
	Option   int
	Return   int            // 0 or -errno
	Pending  unix.Errno     // pending error that SO_ERROR returns, 0 for none
	Value    string         // text of the value; empty if the call fails
	Socket   [3]uint16      // family, type and protocol; zero for no socket
	make     func() uintptr // the descriptor
	value    uintptr        // address of the value; 0 for a buffer of 4096 bytes
	noLength bool           // pass NULL for the length
}

// Main runs the script that the environment names and exits, if it names one. TestMain must
// call it first.
func Main() {
	script := os.Getenv(variable)
	if script == "" {
		return
	}
	name, times, _ := strings.Cut(script, ":")
	n, err := strconv.Atoi(times)
	if err != nil {
		fatal("%s: %v", script, err)
	}
	switch name {
	case "kinds":
		for range n {
			for _, c := range Kinds() {
				c.check()
			}
		}
	case "loop":
		Loop(n)
	case "durations":
		Durations(n)
	case "options":
		Options(n)
	case "connections":
		Connections(n)
	case "peers":
		Peers(n, askPlainly)
	case "peers of requests":
		Peers(n, askRing())
	case "invented peers":
		InventedPeers(n)
	case "fail":
		Fail(n)
	case "title":
		Title(n)
	case "iouring":
		IOUring(n)
	case "hold":
		Hold(n)
	case "broken":
		Broken(n, 0)
	case "broken skip":
		Broken(n, sqeSkipSuccess)
	case "late":
		Late(n)
	case "asked":
		Asked(n)
	case "blocked":
		Blocked(n)
	case "abandon":
		Abandon(n)
	case "reads":
		Reads(n)
	case "labelled":
		Labelled(n)
	case "named":
		Named(n)
	case "forks":
		Forks(n)
	case "publishers":
		Publishers(n)
	case "spawns":
		Spawns(n)
	case "compat":
		Compat(n)
	default:
		if way, found := strings.CutPrefix(name, "iouring "); found {
			requests(way, n)
		} else if option, found := strings.CutPrefix(name, "option "); found {
			Threads(option, n)
		} else if option, found := strings.CutPrefix(name, "exec "); found {
			Exec(option, n)
		} else if a, found := answers[name]; found {
			Seccomp(a, n)
		} else {
			fatal("unknown script %q", script)
		}
	}
	os.Exit(0)
}

// Command returns a command that runs a script with this test binary: "kinds:N" makes N
// rounds of [Kinds], "loop:N" is [Loop], and so on, see [Main].
func Command(t *testing.T, script string, environment ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe)
	// The race detector's runtime would sleep a second at each exit.
	c.Env = append([]string{variable + "=" + script, "GORACE=atexit_sleep_ms=0"}, environment...)
	return c
}

// Run runs a command to its end. The test fails if the command does.
func Run(t *testing.T, c *exec.Cmd) {
	t.Helper()
	var output bytes.Buffer
	c.Stdout, c.Stderr = &output, &output
	if err := c.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", c.Path, err, output.Bytes())
	}
}

// Loop makes n calls on one socket, of which every tenth fails.
func Loop(n int) {
	fd := socket(unix.AF_INET, unix.SOCK_STREAM)
	for i := range n {
		option := unix.SO_TYPE
		if i%10 == 9 {
			option = 9999
		}
		var value, length int32
		length = 4
		_, _, _ = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, uintptr(option),
			uintptr(unsafe.Pointer(&value)), uintptr(unsafe.Pointer(&length)), 0)
	}
}

// MaxOptions is how many calls [Options] makes at most.
var MaxOptions = 2 * len(sockopt.NamedOptions())

// Options makes n calls that are each a series: every option with a name on a descriptor that
// is not open, then on one that is no socket.
func Options(n int) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		fatal("%v", err)
	}
	defer file.Close()
	named := sockopt.NamedOptions()
	for i := range min(n, MaxOptions) {
		option, fd := named[i%len(named)], ^uintptr(0)
		if i >= len(named) {
			fd = file.Fd()
		}
		var value, length int32
		length = 4
		_, _, _ = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, uintptr(option.Level), uintptr(option.Code),
			uintptr(unsafe.Pointer(&value)), uintptr(unsafe.Pointer(&length)), 0)
	}
}

// Kinds returns the calls of one round, in order.
func Kinds() []Call {
	tcp4 := [3]uint16{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP}
	udp4 := [3]uint16{unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDP}
	udp6 := [3]uint16{unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_UDP}
	local := [3]uint16{unix.AF_UNIX, unix.SOCK_STREAM, 0}
	tcp := func() uintptr { return socket(unix.AF_INET, unix.SOCK_STREAM) }
	return []Call{
		{Name: "SO_TYPE", Level: unix.SOL_SOCKET, Option: unix.SO_TYPE, Value: "SOCK_STREAM", Socket: tcp4, make: tcp},
		{Name: "TCP_NODELAY", Level: unix.IPPROTO_TCP, Option: unix.TCP_NODELAY, Value: "0", Socket: tcp4, make: tcp},
		{Name: "SO_REUSEADDR", Level: unix.SOL_SOCKET, Option: unix.SO_REUSEADDR, Value: "0", Socket: udp4, make: func() uintptr {
			return socket(unix.AF_INET, unix.SOCK_DGRAM)
		}},
		{Name: "IPV6_V6ONLY", Level: unix.IPPROTO_IPV6, Option: unix.IPV6_V6ONLY, Value: "1", Socket: udp6, make: v6Only},
		{Name: "SO_DOMAIN", Level: unix.SOL_SOCKET, Option: unix.SO_DOMAIN, Value: "AF_UNIX", Socket: local, make: func() uintptr {
			return socket(unix.AF_UNIX, unix.SOCK_STREAM)
		}},
		{Name: "SO_ERROR", Level: unix.SOL_SOCKET, Option: unix.SO_ERROR, Pending: unix.ECONNREFUSED, Value: "ECONNREFUSED", Socket: tcp4, make: refused},
		{Name: "TCP_NODELAY", Level: unix.IPPROTO_TCP, Option: unix.TCP_NODELAY, Return: -int(unix.EOPNOTSUPP), Socket: local, make: func() uintptr {
			return socket(unix.AF_UNIX, unix.SOCK_STREAM)
		}},
		{Name: "SO_TYPE", Level: unix.SOL_SOCKET, Option: unix.SO_TYPE, Return: -int(unix.EBADF), make: func() uintptr { return ^uintptr(0) }},
		{Name: "SO_TYPE", Level: unix.SOL_SOCKET, Option: unix.SO_TYPE, Return: -int(unix.EFAULT), Socket: tcp4, make: tcp, noLength: true},
		{Name: "SO_TYPE", Level: unix.SOL_SOCKET, Option: unix.SO_TYPE, Return: -int(unix.EFAULT), Socket: tcp4, make: tcp, value: 8},
	}
}

func (c Call) check() {
	fd := c.make()
	var buffer [4096]byte
	length := int32(len(buffer))
	value, lengthAt := c.value, uintptr(unsafe.Pointer(&length))
	if value == 0 {
		value = uintptr(unsafe.Pointer(&buffer))
	}
	if c.noLength {
		lengthAt = 0
	}
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, uintptr(c.Level), uintptr(c.Option), value, lengthAt, 0)
	if int(errno) != -c.Return {
		fatal("%s returned %v, want %d", c.Name, errno, c.Return)
	}
	if c.Pending != 0 && buffer[0] != byte(c.Pending) {
		fatal("%s returned the pending error %d, want %d", c.Name, buffer[0], c.Pending)
	}
	if int32(fd) >= 0 {
		unix.Close(int(fd))
	}
}

func socket(family, kind int) uintptr {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		fatal("socket: %v", err)
	}
	return uintptr(fd)
}

func v6Only() uintptr {
	fd := socket(unix.AF_INET6, unix.SOCK_DGRAM)
	if err := unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
		fatal("IPV6_V6ONLY: %v", err)
	}
	return fd
}

// refused returns a socket with the pending error ECONNREFUSED: the port is bound by a
// socket that does not listen.
func refused() uintptr {
	closed, address := closedPort(unix.AF_INET, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	defer unix.Close(int(closed))
	return refusedBy(unix.AF_INET, address)
}

func fatal(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}
