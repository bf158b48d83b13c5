// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/pprof"
	"unsafe"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protowire"
)

// The span that Labelled publishes, and the service that Named does.
const (
	LabelledTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	LabelledSpan  = "00f067aa0ba902b7"
	NamedService  = "published"
)

// Labelled writes a line, waits until its input ends, and makes n calls in a span that it
// publishes by labels of its goroutine.
func Labelled(n int) {
	fmt.Println(n)
	awaitEnd()
	labels := pprof.Labels("trace_id", LabelledTrace, "span_id", LabelledSpan)
	pprof.Do(context.Background(), labels, func(context.Context) { Loop(n) })
}

// Named publishes a process context, writes a line, waits until its input ends, and makes
// n calls.
func Named(n int) {
	publishContext(contextNamed(NamedService))
	fmt.Println(n)
	awaitEnd()
	Loop(n)
}

// Forks writes a line, waits for one, forks n processes that make no calls, and writes
// another. They end with its input.
func Forks(n int) {
	fmt.Println(n)
	awaitLine()
	forkAll(n, 0)
}

// Publishers forks n processes that publish a process context, twice, and writes a line. They
// end with its input.
func Publishers(n int) { forkAll(n, contextNamed("flood")) }

// Spawns writes a line, waits for one, executes itself n times, and writes another. The
// programs end with its input.
func Spawns(n int) {
	fmt.Println(n)
	awaitLine()
	var started []*exec.Cmd
	for range n {
		c := exec.Command("/proc/self/exe")
		c.Env = []string{variable + "=labelled:0", "GORACE=atexit_sleep_ms=0"}
		c.Stdin = os.Stdin
		if err := c.Start(); err != nil {
			fatal("execute itself: %v", err)
		}
		started = append(started, c)
	}
	fmt.Println(n)
	for _, c := range started {
		if err := c.Wait(); err != nil {
			fatal("%v", err)
		}
	}
}

func awaitEnd() { _, _ = io.Copy(io.Discard, os.Stdin) }

func awaitLine() {
	var b [1]byte
	for b[0] != '\n' {
		if n, err := unix.Read(0, b[:]); n != 1 {
			fatal("wait for a line: %v", err)
		}
	}
}

// forkAll forks n processes, waits until they have begun, writes a line, and waits for their
// end. They publish the process context at an address, unless it is 0.
func forkAll(n int, address uintptr) {
	begun, begin, err := os.Pipe()
	if err != nil {
		fatal("make a pipe: %v", err)
	}
	for range n {
		fork(address, begin.Fd())
	}
	if _, err := io.ReadFull(begun, make([]byte, n)); err != nil {
		fatal("wait for the forks: %v", err)
	}
	fmt.Println(n)
	for range n {
		if _, err := unix.Wait4(-1, nil, 0, nil); err != nil {
			fatal("wait for the end of the forks: %v", err)
		}
	}
}

var (
	contextName = [...]byte{'O', 'T', 'E', 'L', '_', 'C', 'T', 'X', 0}
	forkBuffer  [1]byte
)

// fork forks a process, which makes no use of Go's runtime: it has none of its other threads.
//
//go:norace
func fork(address, begin uintptr) {
	at, name := uintptr(unsafe.Pointer(&forkBuffer)), uintptr(unsafe.Pointer(&contextName))
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		fatal("fork: %v", errno)
	}
	if pid != 0 {
		return
	}
	if address != 0 {
		_, _, _ = unix.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_VMA, unix.PR_SET_VMA_ANON_NAME, address, contextSize, name, 0)
		_, _, _ = unix.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_VMA, unix.PR_SET_VMA_ANON_NAME, address, contextSize, name, 0)
	}
	_, _, _ = unix.RawSyscall(unix.SYS_WRITE, begin, at, 1)
	_, _, _ = unix.RawSyscall(unix.SYS_READ, 0, at, 1)
	_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
}

const contextSize = 4096

// contextNamed makes a process context with the name of a service, and returns its address.
func contextNamed(service string) uintptr {
	page, err := unix.Mmap(-1, 0, contextSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		fatal("map a page: %v", err)
	}
	field := func(number protowire.Number, b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), b)
	}
	attribute := append(field(1, []byte("service.name")), field(2, field(1, []byte(service)))...)
	address := uintptr(unsafe.Pointer(&page[0]))
	const header = 32
	payload := page[header:][:copy(page[header:], field(1, field(1, attribute)))]
	copy(page, contextName[:8])
	binary.NativeEndian.PutUint32(page[8:], 2)
	binary.NativeEndian.PutUint32(page[12:], uint32(len(payload)))
	binary.NativeEndian.PutUint64(page[16:], 1)
	binary.NativeEndian.PutUint64(page[24:], uint64(address)+header)
	return address
}

// publishContext announces the process context at an address. Kernels that cannot name
// memory refuse the name.
func publishContext(address uintptr) {
	_, _, _ = unix.Syscall6(unix.SYS_PRCTL, unix.PR_SET_VMA, unix.PR_SET_VMA_ANON_NAME, address, contextSize, uintptr(unsafe.Pointer(&contextName)), 0)
}
