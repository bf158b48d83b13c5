// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// compatMachines are the 32-bit architectures whose programs a 64-bit kernel may
// run, with the flags without which it does not take a program for one.
var compatMachines = map[string]struct {
	machine elf.Machine
	flags   uint32
}{
	"amd64": {machine: elf.EM_386},
	"arm64": {machine: elf.EM_ARM, flags: 5 << 24}, // EABI version 5
}

// compatPossible reports whether this kernel runs 32-bit programs.
//
// No file tells. x86 can switch them off at boot (ia32_emulation=0, since 6.7),
// and does so by itself in some virtual machines, but has /proc/sys/abi/vsyscall32
// all the same; on arm64 it is a matter of the processors too. So the kernel is
// given a 32-bit program to execute, which it refuses in any case.
func compatPossible() bool {
	m := compatMachines[runtime.GOARCH]
	return takesPrograms(execute(headerOf(m.machine, m.flags)))
}

// takesPrograms reads the outcome of an execution of headerOf. ENOEXEC means that
// no loader knows the machine. Success means that an interpreter runs its programs
// (binfmt_misc), whose calls are 64-bit calls. Anything else comes from a loader
// that went on, or leaves it open, as where programs in memory must not be
// executed: then 32-bit programs are reckoned with.
func takesPrograms(err error) bool {
	return err != nil && !errors.Is(err, unix.ENOEXEC)
}

// headerOf is a 32-bit program that cannot run: its interpreter is a directory,
// which the kernel finds out after it has found the machine's loader, and before
// it gives up the process that asked (load_elf_binary).
func headerOf(machine elf.Machine, flags uint32) []byte {
	const (
		interpreter = "/\x00"
		headerSize  = 52 // struct elf32_hdr
		segmentSize = 32 // struct elf32_phdr
	)
	h := elf.Header32{
		Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Flags: flags,
		Ehsize: headerSize, Phoff: headerSize, Phentsize: segmentSize, Phnum: 1,
	}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS32), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	p := elf.Prog32{Type: uint32(elf.PT_INTERP), Off: headerSize + segmentSize, Filesz: uint32(len(interpreter)), Memsz: uint32(len(interpreter))}
	b, _ := binary.Append(nil, binary.LittleEndian, h)
	b, _ = binary.Append(b, binary.LittleEndian, p)
	return append(b, interpreter...)
}

// execute starts a program that lies in memory, and ends it if it came to run.
func execute(program []byte) error {
	fd, err := unix.MemfdCreate("getsockopt-compat", unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // MFD_EXEC came with 6.3
		fd, err = unix.MemfdCreate("getsockopt-compat", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return fmt.Errorf("make a file in memory: %w", err)
	}
	file := os.NewFile(uintptr(fd), "getsockopt-compat")
	defer file.Close()
	if _, err := bytes.NewReader(program).WriteTo(file); err != nil {
		return fmt.Errorf("write a file in memory: %w", err)
	}
	process, err := os.StartProcess(fmt.Sprintf("/proc/self/fd/%d", fd), []string{"getsockopt-compat"}, &os.ProcAttr{})
	if err != nil {
		return fmt.Errorf("execute a file in memory: %w", err)
	}
	_ = process.Kill()
	_, err = process.Wait()
	return err
}
