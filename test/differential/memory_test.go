// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What a program's memory may do to a call: short and long buffers, lengths
// that lie, pages that are not there, and others who write meanwhile.

// call makes a system call on an address of so many bytes.
func call(number uintptr, fd int, address []byte) error {
	_, _, errno := unix.Syscall(number, uintptr(fd), uintptr(unsafe.Pointer(&address[0])), uintptr(len(address)))
	if errno != 0 {
		return errno
	}
	return nil
}

// lengthsProgram gives lengths that are not the value's.
func lengthsProgram() {
	fd := socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 100000)) // is doubled: 200000, 0x30d40
	buffer := make([]byte, 1<<16)
	for _, test := range []struct {
		level, option int
		length        int32
		want          fact
	}{
		{unix.SOL_SOCKET, unix.SO_RCVBUF, 4, fact{"socket.option.value": "200000", "socket.option.length_out": 4}},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, 1 << 16, fact{"socket.option.value": "200000", "socket.option.length_out": 4}},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<31 - 1, fact{"socket.option.value": "200000", "socket.option.length_out": 4}},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, 3, fact{"socket.option.value": "200000", "socket.option.length_out": 3}},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, 2, fact{"socket.option.value": fmt.Sprint(0x0d40), "socket.option.length_out": 2}},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, 1, fact{"socket.option.value": fmt.Sprint(0x40), "socket.option.length_out": 1}},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, 0, fact{"socket.option.value": nil, "socket.option.value_int": nil, "socket.option.length_out": 0}},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, -1, fact{"error.type": "EINVAL", "socket.option.value": nil, "socket.option.length_out": -1}},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, -1 << 31, fact{"error.type": "EINVAL", "socket.option.value": nil, "socket.option.length_out": -1 << 31}},
		{unix.SOL_TCP, unix.TCP_INFO, 1, fact{"socket.option.value": "{state=CLOSE}", "socket.option.length_out": 1}},
		{unix.SOL_SOCKET, unix.SO_LINGER, 4, fact{"socket.option.value": "{l_onoff=0}", "socket.option.length_out": 4}},
		{unix.SOL_SOCKET, unix.SO_LINGER, 1 << 12, fact{"socket.option.value": "{l_onoff=0, l_linger=0}", "socket.option.length_out": 8}},
		{unix.SOL_SOCKET, unix.SO_BINDTODEVICE, 1, fact{"socket.option.value": nil, "socket.option.length_out": 0}},
		{unix.SOL_TCP, unix.TCP_CONGESTION, 2, fact{"socket.option.value~": `^..$`, "socket.option.length_out": 2}},
		{unix.SOL_SOCKET, unix.SO_PEERNAME, 16, fact{"error.type": "ENOTCONN", "socket.option.value": nil, "socket.option.length_out": 16}},
		{unix.SOL_SOCKET, 9999, 16, fact{"error.type": "ENOPROTOOPT", "socket.option.length_out": 16, "name": "getsockopt"}},
	} {
		clear(buffer)
		length := test.length
		getsockopt(fd, test.level, test.option, unsafe.Pointer(&buffer[0]), unsafe.Pointer(&length))
		expect(test.want.with(fact{"socket.option.length_in": int(test.length)}))
	}
	// Pointers that lead nowhere: lengths are absent, never 0.
	length := int32(4)
	getsockopt(fd, unix.SOL_SOCKET, unix.SO_TYPE, unsafe.Pointer(&buffer[0]), nil)
	expect(fact{"error.type": "EFAULT", "socket.option.length_in": nil, "socket.option.length_out": nil, "socket.option.value": nil})
	getsockopt(fd, unix.SOL_SOCKET, unix.SO_TYPE, nil, unsafe.Pointer(&length))
	expect(fact{"error.type": "EFAULT", "socket.option.length_in": 4, "socket.option.length_out": 4, "socket.option.value": nil})
}

func TestLengthArguments(t *testing.T) { observe(t, everything(), "lengths") }

// shortErrorsProgram reads a pending error, 111, into fewer bytes than an int
// has. What lies behind the buffer must not show.
func shortErrorsProgram() {
	for size := range int32(5) {
		fd, going := refused(unix.AF_INET, unix.SOCK_STREAM, 0, false)
		buffer := bytes.Repeat([]byte{0xff}, 8)
		length := size
		if errno := getsockopt(fd, unix.SOL_SOCKET, unix.SO_ERROR, unsafe.Pointer(&buffer[0]), unsafe.Pointer(&length)); errno != 0 {
			must(errno)
		}
		f := fact{
			"socket.option.length_in": int(size), "socket.option.length_out": int(size), "error.type": "ECONNREFUSED",
			"status": statusError, "socket.option.value_int": int(unix.ECONNREFUSED), "socket.option.value": "ECONNREFUSED",
		}.with(end("peer", addrPort(going)))
		switch size {
		case 0: // nobody received anything, and the error is gone
			f = f.with(fact{"error.type": nil, "status": statusUnset, "socket.option.value_int": nil, "socket.option.value": nil})
		case 1: // of a byte, the errno may be another one's
			f["socket.option.value"] = fmt.Sprint(int(unix.ECONNREFUSED))
		}
		expect(f)
	}
}

// fencedErrorProgram reads a pending error into the last byte of its memory.
func fencedErrorProgram() {
	page := os.Getpagesize()
	fence := mapped(2)
	must(unix.Mprotect(fence[page:], unix.PROT_NONE))
	for size := int32(1); size <= 3; size++ {
		fd, going := refused(unix.AF_INET, unix.SOCK_STREAM, 0, false)
		length := size
		errno := getsockopt(fd, unix.SOL_SOCKET, unix.SO_ERROR, unsafe.Pointer(&fence[page-int(size)]), unsafe.Pointer(&length))
		if errno != 0 {
			must(errno)
		}
		expect(fact{
			"socket.option.value_int": int(unix.ECONNREFUSED), "error.type": "ECONNREFUSED", "status": statusError,
		}.with(end("peer", addrPort(going))))
	}
}

// Nobody may read beyond the bytes that the program gave.
func TestErrorsAtTheEndOfMemory(t *testing.T) { observe(t, everything(), "fenced error") }

func TestErrorsInShortBuffers(t *testing.T) { observe(t, everything(), "short errors") }

// mapped is memory of its own pages, each untouched.
func mapped(pages int) []byte {
	b, err := unix.Mmap(-1, 0, pages*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	must(err)
	return b
}

// pagesProgram makes calls on memory that is not there yet, or ends.
func pagesProgram() {
	page := os.Getpagesize()
	fd := socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, 5))

	// The value's page is not resident before the call: the kernel brings it in.
	length := int32(4)
	getsockopt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, unsafe.Pointer(&mapped(1)[0]), unsafe.Pointer(&length))
	expect(fact{"socket.option.value": "5", "socket.option.length_in": 4, "socket.option.length_out": 4})

	// A value across two pages, neither of which is resident.
	two := mapped(2)
	length = 512
	getsockopt(fd, unix.SOL_TCP, unix.TCP_INFO, unsafe.Pointer(&two[page-3]), unsafe.Pointer(&length))
	expect(fact{"socket.option.value~": `^\{state=CLOSE, retransmits=0, rtt=`})

	// The value ends with the memory.
	fence := mapped(2)
	must(unix.Mprotect(fence[page:], unix.PROT_NONE))
	length = 4
	getsockopt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, unsafe.Pointer(&fence[page-4]), unsafe.Pointer(&length))
	expect(fact{"socket.option.value": "5"})
	length = 1
	getsockopt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, unsafe.Pointer(&fence[page-1]), unsafe.Pointer(&length))
	expect(fact{"socket.option.value": "5", "socket.option.length_out": 1})
	length = 4
	getsockopt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, unsafe.Pointer(&fence[page-2]), unsafe.Pointer(&length))
	expect(fact{"error.type": "EFAULT", "socket.option.value": nil, "socket.option.length_out": 4})

	// The length is in a file that nobody has read: only the kernel can bring it in, and it does so after the entry.
	file, err := os.CreateTemp("", "differential")
	must(err)
	must(os.Remove(file.Name()))
	_, err = file.Write(append(binary.NativeEndian.AppendUint32(nil, 4), make([]byte, page)...))
	must(err)
	must(file.Sync())
	absent, err := unix.Mmap(int(file.Fd()), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	must(err)
	value := make([]byte, 8)
	getsockopt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, unsafe.Pointer(&value[0]), unsafe.Pointer(&absent[0]))
	expect(fact{"socket.option.length_in": nil, "socket.option.length_out": 4, "socket.option.value": "5", "syscall.return_value": 0})

	// A length that cannot be written: the call fails after the kernel wrote the value.
	must(unix.Mprotect(absent, unix.PROT_READ))
	getsockopt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, unsafe.Pointer(&value[0]), unsafe.Pointer(&absent[0]))
	expect(fact{"error.type": "EFAULT", "socket.option.length_in": 4, "socket.option.value": nil})
}

func TestMemoryThatCannotBeRead(t *testing.T) { observe(t, everything(), "pages") }

const raceCalls = 3000

// raceProgram makes calls while other threads change the memory of their arguments.
func raceProgram() {
	fd := socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	page := os.Getpagesize()
	memory := mapped(3)
	length := (*int32)(unsafe.Pointer(&memory[0]))
	value := memory[page : 3*page]
	var stop atomic.Bool
	go func() {
		runtime.LockOSThread()
		for i := 0; !stop.Load(); i++ {
			atomic.StoreInt32(length, []int32{4, 1 << 30, 16, -1, 300}[i%5])
			if i%7 == 0 {
				_ = unix.Madvise(value, unix.MADV_DONTNEED)
			}
			if i%11 == 0 {
				_ = unix.Mprotect(value[page:], []int{unix.PROT_NONE, unix.PROT_READ | unix.PROT_WRITE}[i/11%2])
			}
		}
	}()
	for i := range raceCalls {
		if i%2 == 0 { // the other thread may rest with the page taken away
			must(unix.Mprotect(value[page:], unix.PROT_READ|unix.PROT_WRITE))
		}
		atomic.StoreInt32(length, 300)
		getsockopt(fd, unix.SOL_TCP, unix.TCP_INFO, unsafe.Pointer(&value[page-8]), unsafe.Pointer(length))
	}
	stop.Store(true)
}

// Whatever others write meanwhile, a span holds numbers that were there at some
// time, and a value that reads as one. None of it breaks a record.
func TestMemoryThatChanges(t *testing.T) {
	r := watch(t, everything())
	c := program(t, "race")
	run(t, c)
	spans := of(r.finish(t), c.Process.Pid)
	if len(spans) != raceCalls {
		t.Errorf("%d calls, want %d", len(spans), raceCalls)
	}
	written := map[any]bool{int64(4): true, int64(1 << 30): true, int64(16): true, int64(-1): true, int64(300): true}
	outcomes := map[string]int{}
	for _, s := range spans {
		in, out := s.attributes["socket.option.length_in"], s.attributes["socket.option.length_out"]
		if !written[in] {
			t.Errorf("length in %v was never there", in)
		}
		n, isLength := out.(int64)
		if !isLength || !written[out] && (n < 0 || n > 300) {
			t.Errorf("length out %v was never there", out)
		}
		value, hasValue := s.attributes["socket.option.value"].(string)
		if hasValue && !strings.HasPrefix(value, "{state=") {
			t.Errorf("value %q, want a struct tcp_info", value)
		}
		outcomes[fmt.Sprint(s.attributes["error.type"], " value ", hasValue)]++
	}
	t.Logf("%v", outcomes)
	if outcomes["<nil> value true"] == 0 {
		t.Error("no call brought a value: this shows nothing")
	}
}
