// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"debug/elf"
	"fmt"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// What a kernel answers where 32-bit programs run, where they do not, and where it
// cannot be asked.
func TestTakesPrograms(t *testing.T) {
	for _, test := range []struct {
		err  error
		want bool
	}{
		{unix.EACCES, true}, // the interpreter is a directory
		{unix.ENOEXEC, false},
		{nil, false}, // an interpreter of binfmt_misc ran
		{unix.ENOSYS, true},
		{unix.EPERM, true},
		{unix.ENOENT, true},
		{unix.EAGAIN, true},
	} {
		err := test.err
		if err != nil {
			err = fmt.Errorf("execute a file in memory: %w", &os.PathError{Op: "fork/exec", Path: "/proc/self/fd/3", Err: err})
		}
		if got := loaderFound(err); got != test.want {
			t.Errorf("%v: %t, want %t", err, got, test.want)
		}
	}
}

// No kernel that this runs on has a loader for SPARC: the answer of one that has
// its 32-bit programs switched off.
func TestMachineWithoutALoader(t *testing.T) {
	if err := execute(unrunnableProgram(elf.EM_SPARC, 0)); loaderFound(err) {
		t.Errorf("executing a program of another machine: %v, want %v", err, unix.ENOEXEC)
	}
}

func TestCompatMachineIsKnown(t *testing.T) {
	if _, known := compatMachines[runtime.GOARCH]; !known {
		t.Errorf("no 32-bit architecture is known of %s", runtime.GOARCH)
	}
}
