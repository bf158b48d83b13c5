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

// compatMachines are the 32-bit architectures whose programs a 64-bit kernel may run,
// with the ELF flags that its loader requires.
var compatMachines = map[string]struct {
	machine elf.Machine
	flags   uint32
}{
	"amd64": {machine: elf.EM_386},
	"arm64": {machine: elf.EM_ARM, flags: 5 << 24}, // EABI version 5
}

// compatPossible reports whether this kernel runs 32-bit programs.
//
// No file contains that. On x86 they can be disabled at boot (ia32_emulation=0, since
// 6.7), which some virtual machines do by default, and /proc/sys/abi/vsyscall32 is there
// all the same; on arm64 it depends on the processors too. So the probe asks the kernel to
// execute a 32-bit program that fails to start in any case.
func compatPossible() bool {
	m := compatMachines[runtime.GOARCH]
	return loaderFound(execute(unrunnableProgram(m.machine, m.flags)))
}

// loaderFound reports whether the kernel has a loader for 32-bit programs, from the
// error of executing unrunnableProgram. ENOEXEC means that it has none. Success means
// that an interpreter runs such programs (binfmt_misc), whose calls are 64-bit calls. Any
// other error comes from a loader, or does not answer the question, as where programs in
// memory must not be executed: then 32-bit programs are assumed.
func loaderFound(err error) bool {
	return err != nil && !errors.Is(err, unix.ENOEXEC)
}

// unrunnableProgram returns a 32-bit program that cannot run: its interpreter is a
// directory. The kernel detects that after it has found a loader, and before it replaces
// the calling process (load_elf_binary).
func unrunnableProgram(machine elf.Machine, flags uint32) []byte {
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

// execute starts a program from memory, and kills it if it runs.
func execute(program []byte) error {
	fd, err := unix.MemfdCreate("getsockopt-compat", unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // MFD_EXEC came with 6.3
		fd, err = unix.MemfdCreate("getsockopt-compat", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return fmt.Errorf("create a file in memory: %w", err)
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
