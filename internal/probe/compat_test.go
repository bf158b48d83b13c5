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

// The kernel runs 32-bit programs, does not run them, or the test is not possible.
func TestCompatSupportIsDetected(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"the interpreter is a directory":     {unix.EACCES, true},
		"no loader":                          {unix.ENOEXEC, false},
		"an interpreter of binfmt_misc runs": {nil, false},
		"no memfd_create":                    {unix.ENOSYS, true},
		"execution is forbidden":             {unix.EPERM, true},
		"no /proc":                           {unix.ENOENT, true},
		"too many processes":                 {unix.EAGAIN, true},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.err
			if err != nil {
				err = fmt.Errorf("execute a file in memory: %w", &os.PathError{Op: "fork/exec", Path: "/proc/self/fd/3", Err: err})
			}
			if got := loaderFound(err); got != test.want {
				t.Errorf("%v: %t, want %t", err, got, test.want)
			}
		})
	}
}

// No kernel that this runs on has a loader for SPARC: the answer of one that has
// its 32-bit programs switched off.
func TestCompatSupportWithoutALoader(t *testing.T) {
	if err := execute(unrunnableProgram(elf.EM_SPARC, 0)); loaderFound(err) {
		t.Errorf("executing a program of another machine: %v, want %v", err, unix.ENOEXEC)
	}
}

func TestCompatSupportOfThisMachine(t *testing.T) {
	if _, known := compatMachines[runtime.GOARCH]; !known {
		t.Errorf("no 32-bit architecture is known of %s", runtime.GOARCH)
	}
}
