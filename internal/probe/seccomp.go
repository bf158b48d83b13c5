// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// call is a system call with arguments that the kernel rejects with one error whatever
// the privileges: it checks them before anything else. Another result comes from a
// seccomp filter.
type call struct {
	name      string
	number    uintptr
	arguments [5]uintptr
	want      unix.Errno // the kernel's error
}

// bpfCommand returns a command of bpf(2) with an argument that is too large for the kernel
// (bpf_check_uarg_tail_zero).
func bpfCommand(command uintptr, name string) call {
	const size = 1 << 20
	return call{"bpf(2), " + name, unix.SYS_BPF, [5]uintptr{command, 0, size}, unix.E2BIG}
}

// bpfCommands are those that every hook needs. A filter can check the command, but not
// its arguments.
var bpfCommands = []call{
	bpfCommand(unix.BPF_MAP_CREATE, "BPF_MAP_CREATE"),
	bpfCommand(unix.BPF_MAP_UPDATE_ELEM, "BPF_MAP_UPDATE_ELEM"),
	bpfCommand(unix.BPF_MAP_FREEZE, "BPF_MAP_FREEZE"),
	bpfCommand(unix.BPF_PROG_LOAD, "BPF_PROG_LOAD"),
	bpfCommand(unix.BPF_BTF_LOAD, "BPF_BTF_LOAD"),
	bpfCommand(unix.BPF_OBJ_GET_INFO_BY_FD, "BPF_OBJ_GET_INFO_BY_FD"),
}

// The system calls that attach, by hook.
var (
	rawTracepointOpen = bpfCommand(unix.BPF_RAW_TRACEPOINT_OPEN, "BPF_RAW_TRACEPOINT_OPEN")
	linkCreate        = bpfCommand(unix.BPF_LINK_CREATE, "BPF_LINK_CREATE")
	perfEventOpen     = call{"perf_event_open(2)", unix.SYS_PERF_EVENT_OPEN, [5]uintptr{4: ^uintptr(0)}, unix.EINVAL} // unknown flags
)

// seccompError returns an error that names the first of these calls that a seccomp filter
// forbids, nil if it forbids none.
func seccompError(calls ...call) error {
	if !seccompOn() {
		return nil
	}
	for _, c := range calls {
		a := c.arguments
		if _, _, errno := unix.Syscall6(c.number, a[0], a[1], a[2], a[3], a[4], 0); errno != c.want {
			return fmt.Errorf("a seccomp filter forbids %s: allow bpf and perf_event_open (systemd: SystemCallFilter=bpf perf_event_open; podman, docker: --security-opt seccomp=PROFILE or =unconfined; Kubernetes: securityContext.seccompProfile): %w",
				c.name, errno)
		}
	}
	return nil
}

// orSeccompError returns err, unless a filter that forbids one of the calls explains
// it.
func orSeccompError(err error, calls ...call) error {
	if filter := seccompError(calls...); filter != nil {
		return filter
	}
	return err
}

// seccompOn reports whether the process runs under a seccomp filter
// (SECCOMP_MODE_FILTER).
func seccompOn() bool {
	status, err := os.ReadFile("/proc/self/status")
	return err == nil && bytes.Contains(status, []byte("\nSeccomp:\t2\n"))
}
