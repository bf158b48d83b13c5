// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// checkBPF creates a map and a program that need nothing but the capabilities, so that a
// host that forbids bpf(2) as a whole leads to one error, and not to one for each hook.
func checkBPF() error {
	err := raiseMemlock()
	if err == nil {
		err = tryBPF()
	}
	if err == nil {
		return nil
	}
	return explainBPFError(err, inUserNamespace(), seccompError(bpfCommands...))
}

// raiseMemlock removes the limit that includes BPF maps before 5.11. On later kernels the
// library is not called: it blames that limit for any EPERM of bpf(2).
func raiseMemlock() error {
	if atLeast(kernelRelease(), 5, 11) {
		return nil
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		return fmt.Errorf("raise the limit on locked memory, which includes BPF maps before 5.11: grant CAP_SYS_RESOURCE, or lift the limit (systemd: LimitMEMLOCK=infinity, container: --ulimit memlock=-1): %w", err)
	}
	return nil
}

func tryBPF() error {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return fmt.Errorf("create a BPF map: %w", explainErrno(err))
	}
	defer m.Close()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:         ebpf.TracePoint,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
		License:      "GPL",
	})
	if err != nil {
		return fmt.Errorf("load a BPF program: %w", explainErrno(err))
	}
	return p.Close()
}

// explainErrno replaces the library's text of an EPERM, which blames the limit on locked
// memory, by a cause that remains once the capabilities were checked.
func explainErrno(err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err
	}
	switch errno {
	case unix.EPERM, unix.EACCES:
		return fmt.Errorf("the process has the capabilities, but a security module such as SELinux may forbid it (see the audit log): %w", errno)
	case unix.ENOSYS:
		return fmt.Errorf("the kernel has no bpf(2) (CONFIG_BPF_SYSCALL): %w", errno)
	}
	return err
}

// explainBPFError replaces an error of bpf(2) by its known cause. filter is the result of
// seccompError.
func explainBPFError(err error, inUserNamespace bool, filter error) error {
	switch {
	case inUserNamespace && errors.Is(err, unix.EPERM):
		return fmt.Errorf("the process is in a user namespace, whose capabilities do not apply to BPF: run it in the user namespace of the host (a container that is not rootless, Kubernetes hostUsers: true, systemd PrivateUsers=no): %w", unix.EPERM)
	case filter != nil:
		return filter
	}
	return err
}

// initialUserNamespace is the inode of the initial user namespace,
// PROC_USER_INIT_INO of include/linux/proc_ns.h.
const initialUserNamespace = "user:[4026531837]"

// inUserNamespace reports whether the process is in another user namespace than the
// initial one, the only one whose capabilities permit tracing the kernel.
func inUserNamespace() bool {
	link, err := os.Readlink("/proc/self/ns/user")
	return err == nil && link != initialUserNamespace // no link: CONFIG_USER_NS is off
}
