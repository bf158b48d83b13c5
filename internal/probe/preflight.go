// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

// capabilities are those that loading and attaching needs.
// CAP_SYS_ADMIN includes both (include/linux/capability.h, bpf_capable and
// perfmon_capable, since 5.8).
var capabilities = []struct {
	number int
	name   string
	why    string
}{
	{unix.CAP_BPF, "CAP_BPF", "to create BPF maps and load BPF programs"},
	{unix.CAP_PERFMON, "CAP_PERFMON", "to load tracing programs, read kernel memory and attach to tracepoints"},
}

// checkCapabilities returns one error that names every capability that the
// process lacks.
func checkCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read the process's capabilities: %w", err)
	}
	effective := uint64(data[1].Effective)<<32 | uint64(data[0].Effective)
	return missingCapabilities(effective)
}

func missingCapabilities(effective uint64) error {
	if effective&(1<<unix.CAP_SYS_ADMIN) != 0 {
		return nil
	}
	var missing []string
	for _, c := range capabilities {
		if effective&(1<<c.number) == 0 {
			missing = append(missing, fmt.Sprintf("%s (%s)", c.name, c.why))
		}
	}
	if missing == nil {
		return nil
	}
	return fmt.Errorf("missing %s: run the Collector as root, or grant it CAP_BPF and CAP_PERFMON (systemd: AmbientCapabilities=, container: --cap-add): %w",
		strings.Join(missing, " and "), os.ErrPermission)
}

// checkProc checks for the first file of /proc that the eBPF library reads. The receiver
// itself reads the environments and executables of processes there.
func checkProc() error {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("/proc is missing, or is of another pid namespace: mount it (mount -t proc proc /proc): %w", err)
	}
	return file.Close()
}

// checkBTF checks for the kernel's type information, from which the offsets of fields are
// taken: CONFIG_DEBUG_INFO_BTF, on by default in every large distribution since 2020.
func checkBTF() error {
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("the kernel has no type information (CONFIG_DEBUG_INFO_BTF), which the programs need: %w", err)
		}
		return fmt.Errorf("read the kernel's type information (is /sys mounted?): %w", err)
	}
	return nil
}

// checkLockdown checks that programs may read kernel memory. A kernel that is locked down
// for confidentiality has no helper for that (LOCKDOWN_BPF_READ_KERNEL, since 5.5), and
// the verifier only reports an unknown helper.
func checkLockdown() error {
	traces := features.HaveProgramType(ebpf.TracePoint) == nil // if not, loading reports more than a missing helper
	reads := features.HaveProgramHelper(ebpf.TracePoint, asm.FnProbeReadKernel)
	if traces && errors.Is(reads, ebpf.ErrNotSupported) {
		return fmt.Errorf("BPF programs may not read kernel memory, because the kernel is locked down (confidentiality in /sys/kernel/security/lockdown): boot it with lockdown=integrity: %w", unix.EPERM)
	}
	return nil
}
