// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// Requests of FUSE, include/uapi/linux/fuse.h.
const (
	fuseLookup    = 1
	fuseForget    = 2
	fuseGetattr   = 3
	fuseOpen      = 14
	fuseRead      = 15
	fuseRelease   = 18
	fuseFlush     = 25
	fuseInit      = 26
	fuseInterrupt = 36
	fuseBatch     = 42 // BATCH_FORGET
)

// silentFile mounts a file system with one file, and returns its path. It can be opened and
// mapped, and a read of it is never answered.
func silentFile(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	device, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("fuse", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", device.Fd())); err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		serveFUSE(device)
	}()
	t.Cleanup(func() {
		// Ends all requests: those that wait fail.
		if err := unix.Unmount(dir, unix.MNT_DETACH|unix.MNT_FORCE); err != nil {
			t.Error(err)
		}
		<-served
		_ = device.Close()
	})
	return filepath.Join(dir, "file")
}

func serveFUSE(device *os.File) {
	le := binary.LittleEndian
	attributes := func(node uint64) []byte {
		b := make([]byte, 88)
		mode, size := uint32(unix.S_IFDIR|0o755), uint64(0)
		if node != 1 {
			mode, size = unix.S_IFREG|0o644, 1<<20
		}
		le.PutUint64(b, node)
		le.PutUint64(b[8:], size)
		le.PutUint32(b[60:], mode)
		le.PutUint32(b[64:], 1)
		le.PutUint32(b[80:], 4096)
		return b
	}
	request := make([]byte, 1<<18)
	for {
		n, err := unix.Read(int(device.Fd()), request)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil || n < 40 {
			return // unmounted
		}
		answer, failed := []byte(nil), int32(0)
		switch le.Uint32(request[4:]) {
		case fuseForget, fuseBatch, fuseInterrupt, fuseRead:
			continue
		case fuseInit:
			answer = make([]byte, 64)
			le.PutUint32(answer, 7)
			le.PutUint32(answer[4:], 31)
			le.PutUint32(answer[20:], 4096)
		case fuseLookup:
			answer = make([]byte, 40)
			le.PutUint64(answer, 2)
			answer = append(answer, attributes(2)...)
		case fuseGetattr:
			answer = append(make([]byte, 16), attributes(le.Uint64(request[16:]))...)
		case fuseOpen:
			answer = make([]byte, 16)
		case fuseFlush, fuseRelease:
		default:
			failed = -int32(unix.ENOSYS)
		}
		header := make([]byte, 16)
		le.PutUint32(header, uint32(16+len(answer)))
		le.PutUint32(header[4:], uint32(failed))
		copy(header[8:], request[8:16])
		if _, err := unix.Write(int(device.Fd()), append(header, answer...)); err != nil && !errors.Is(err, unix.ENOENT) {
			return
		}
	}
}

// Nobody waits for a file whose reads are never answered: not for the context that a program
// has in it, and not for what may be code. Calls of others have spans and parents meanwhile.
func TestContextInAFileThatDoesNotAnswer(t *testing.T) {
	executable := buildModel(t, "loaded descriptor")
	r := watch(t, executable)
	silent := exec.Command(executable, "9000")
	silent.Env = append(os.Environ(), "CONTEXT_FILE="+silentFile(t))
	programs := []*program{start(t, silent), start(t, exec.Command(executable, "9500"))}
	for _, p := range programs {
		r.awaitPublished(t, p.command.Process.Pid, record.ProcessKey{})
	}
	var output string
	for _, p := range programs {
		p.proceed(t)
		output += p.finish(t)
	}
	check(t, output, r.take(t), record.SourceThreadContext)
}
