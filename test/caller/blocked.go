// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From include/uapi/linux/userfaultfd.h.
const (
	userfaultAPI      = 0xc018aa3f // _IOWR(0xaa, 0x3f, struct uffdio_api)
	userfaultRegister = 0xc020aa00 // _IOWR(0xaa, 0x00, struct uffdio_register)
	userfaultVersion  = 0xaa
	userfaultMissing  = 1 // UFFDIO_REGISTER_MODE_MISSING
)

// Blocked makes n calls, and one that blocks in the kernel. It writes a line once it does,
// lets it return when its input ends, and makes n calls again.
func Blocked(n int) {
	Repeat(n)
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		fatal("map a page: %v", err)
	}
	faults, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC, 0, 0)
	if errno != 0 {
		fatal("userfaultfd: %v", errno)
	}
	begin := uint64(uintptr(unsafe.Pointer(&page[0])))
	ioctl := func(request uintptr, argument *[4]uint64) {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, faults, request, uintptr(unsafe.Pointer(argument))); errno != 0 {
			fatal("ioctl %#x of userfaultfd: %v", request, errno)
		}
	}
	ioctl(userfaultAPI, &[4]uint64{userfaultVersion})
	ioctl(userfaultRegister, &[4]uint64{begin, uint64(len(page)), userfaultMissing})
	done := make(chan struct{})
	go func() {
		get(socket(unix.AF_INET, unix.SOCK_STREAM), unix.SOL_SOCKET, unix.SO_TYPE, unsafe.Pointer(&page[0]))
		close(done)
	}()
	var fault [32]byte
	if _, err := unix.Read(int(faults), fault[:]); err != nil {
		fatal("wait for the fault: %v", err)
	}
	fmt.Println(n)
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := unix.Close(int(faults)); err != nil { // the page is one of zeros then
		fatal("close userfaultfd: %v", err)
	}
	<-done
	Repeat(n)
}

// execOptions are the options that Exec calls in turn.
var execOptions = [2]int{unix.SO_TYPE, unix.SO_DEBUG}

// ExecCalls is how many calls Exec makes between two execs.
const ExecCalls = 20

// Exec makes calls, and executes itself n times as another service, which is named after
// its option.
func Exec(option string, n int) {
	code, err := strconv.Atoi(option)
	if err != nil {
		fatal("option %s: %v", option, err)
	}
	fd := socket(unix.AF_INET, unix.SOCK_STREAM)
	for range ExecCalls {
		length := int32(4)
		get(fd, unix.SOL_SOCKET, int32(code), unsafe.Pointer(&length))
	}
	if n == 0 {
		return
	}
	next := execOptions[0]
	if code == next {
		next = execOptions[1]
	}
	err = unix.Exec("/proc/self/exe", os.Args, []string{
		fmt.Sprintf("%s=exec %d:%d", variable, next, n-1),
		fmt.Sprintf("OTEL_SERVICE_NAME=witness-%d", next), "GORACE=atexit_sleep_ms=0",
	})
	fatal("execute itself: %v", err)
}
