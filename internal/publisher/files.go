// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/goruntime"
	"github.com/getsockopt/getsockoptreceiver/internal/tlsvariable"
)

const (
	// filesMax bounds the files whose contents are remembered.
	filesMax = 4096
	// readMax bounds the bytes that are read of a file. A read counts as readLeast or more:
	// a file can ask for millions of small ones.
	readMax   = 64 << 20
	readLeast = 512
)

// file is what is known of an executable or a library.
type file struct {
	goOffsets goruntime.Offsets // of a Go program
	variable  tlsvariable.File  // what it has to do with the variable of thread contexts
}

// contextVariable is the name that OTEP 4947 gives to the variable.
const contextVariable = "otel_thread_ctx_v1"

// machines are the architectures of the receiver.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// version identifies the contents of a file.
type version struct {
	device, inode    uint64
	size             int64
	modified, change syscall.Timespec
}

// files remembers files by their version. It is safe for concurrent use.
type files struct {
	mu    sync.Mutex
	known map[version]file
}

func newFiles() *files { return &files{known: make(map[version]file)} }

var errNotRegular = errors.New("not a regular file")

// open returns what is known of a file, which it reads unless it has before. Only regular
// files are opened: to open a device may have effects.
func (f *files) open(path string) (file, error) {
	handle, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return file{}, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(handle)
	var info syscall.Stat_t
	if err := syscall.Fstat(handle, &info); err != nil {
		return file{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if info.Mode&unix.S_IFMT != unix.S_IFREG {
		return file{}, &os.PathError{Op: "read", Path: path, Err: errNotRegular}
	}
	v := version{info.Dev, info.Ino, info.Size, info.Mtim, info.Ctim}
	f.mu.Lock()
	known, found := f.known[v]
	f.mu.Unlock()
	if found {
		return known, nil
	}
	// The file of the handle, wherever the path leads by now.
	opened, err := os.Open("/proc/self/fd/" + strconv.Itoa(handle))
	if err != nil {
		return file{}, fmt.Errorf("open %s: %w", path, err)
	}
	defer opened.Close()
	known = read(&limited{file: opened, left: readMax})
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.known) >= filesMax {
		clear(f.known)
	}
	f.known[v] = known
	return known, nil
}

// read finds out what a file is. A file that it cannot parse is none of what it looks for.
func read(r io.ReaderAt) (f file) {
	variable, err := tlsvariable.Find(r, machines[runtime.GOARCH], contextVariable)
	if errors.Is(err, tlsvariable.ErrFormat) {
		return f
	}
	if err == nil {
		f.variable = variable
	}
	if info, err := buildinfo.Read(r); err == nil {
		f.goOffsets, _ = goruntime.Of(info.GoVersion)
	}
	return f
}

// limited bounds the bytes that are read of a file, whatever its headers ask for.
type limited struct {
	file io.ReaderAt
	left int
}

var errTooMuch = fmt.Errorf("more than %d bytes to read", readMax)

func (l *limited) ReadAt(b []byte, at int64) (int, error) {
	if l.left -= max(len(b), readLeast); l.left < 0 {
		return 0, errTooMuch
	}
	return l.file.ReadAt(b, at)
}
