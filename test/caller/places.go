// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"bytes"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
)

// get makes a call, whatever its result.
func get(fd uintptr, level, option int32, length unsafe.Pointer) {
	var value [4096]byte
	_, _, _ = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, uintptr(level), uintptr(option), uintptr(unsafe.Pointer(&value)), uintptr(length), 0)
}

// Threads makes n calls of an option of SOL_SOCKET on each of four threads.
func Threads(option string, n int) {
	code, err := strconv.Atoi(option)
	if err != nil {
		fatal("option %s: %v", option, err)
	}
	fd := socket(unix.AF_INET, unix.SOCK_STREAM)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range n {
				length := int32(4)
				get(fd, unix.SOL_SOCKET, int32(code), unsafe.Pointer(&length))
			}
		})
	}
	wg.Wait()
}

// Fail makes each named option fail in every way that needs no privileges, n times.
func Fail(n int) {
	file, err := os.Open("/proc/self/exe")
	if err != nil {
		fatal("open a file: %v", err)
	}
	defer file.Close()
	sockets := []uintptr{
		^uintptr(0), file.Fd(), socket(unix.AF_INET, unix.SOCK_STREAM), socket(unix.AF_INET6, unix.SOCK_DGRAM),
		socket(unix.AF_UNIX, unix.SOCK_STREAM), socket(unix.AF_NETLINK, unix.SOCK_RAW),
	}
	for range n {
		for _, option := range sockopt.NamedOptions() {
			for _, fd := range sockets {
				for _, length := range []int32{-1, 0, 1, 4, 4096} {
					get(fd, option.Level, option.Code, unsafe.Pointer(&length))
				}
				get(fd, option.Level, option.Code, nil)
			}
		}
	}
}

// Title makes n calls, overwrites the environment, waits until its input ends, and makes
// n calls on another thread.
func Title(n int) {
	Repeat(n)
	// The strings of os.Environ are copies or those of the stack, depending on the runtime.
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		fatal("read where the environment is: %v", err)
	}
	const environment = 47 // env_start, by its place after the name (proc_pid_stat(5))
	words := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:]))
	begin, err := strconv.ParseUint(words[environment], 10, 64)
	if err != nil {
		fatal("parse %s: %v", words[environment], err)
	}
	end, err := strconv.ParseUint(words[environment+1], 10, 64)
	if err != nil {
		fatal("parse %s: %v", words[environment+1], err)
	}
	memory, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		fatal("open the memory: %v", err)
	}
	if _, err := memory.WriteAt(make([]byte, end-begin), int64(begin)); err != nil {
		fatal("overwrite the environment: %v", err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		Repeat(n)
		close(done)
	}()
	<-done
}

// Repeat makes n calls of SO_TYPE.
func Repeat(n int) {
	fd := socket(unix.AF_INET, unix.SOCK_STREAM)
	for range n {
		length := int32(4)
		get(fd, unix.SOL_SOCKET, unix.SO_TYPE, unsafe.Pointer(&length))
	}
}
