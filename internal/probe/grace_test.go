// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"io"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// graceHooks are the ways in which the hooks run programs, each at the entry of a call.
var graceHooks = map[string]struct {
	program ebpf.ProgramSpec
	attach  func(*ebpf.Program) (io.Closer, error)
}{
	HookFentry: {
		ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: ebpf.AttachTraceFEntry, AttachTo: getsockoptFunction},
		func(p *ebpf.Program) (io.Closer, error) { return attachTracing(p, "") },
	},
	HookKprobe + " (multi)": {
		ebpf.ProgramSpec{Type: ebpf.Kprobe, AttachType: ebpf.AttachTraceKprobeMulti},
		func(p *ebpf.Program) (io.Closer, error) { return attachKprobeMulti(p, getsockoptFunction) },
	},
	HookKprobe: {
		ebpf.ProgramSpec{Type: ebpf.Kprobe},
		func(p *ebpf.Program) (io.Closer, error) { return attachKprobe(p, getsockoptFunction) },
	},
	HookTracepoint: {
		ebpf.ProgramSpec{Type: ebpf.TracePoint},
		func(p *ebpf.Program) (io.Closer, error) { return attachTracepoint(p, "sys_enter_getsockopt") },
	},
	HookRawTracepoint: {
		ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: "sys_enter"},
		func(p *ebpf.Program) (io.Closer, error) { return attachTracing(p, "") },
	},
}

// The grace period is over when the programs that ran at its begin have ended. A program
// that takes long counts when it begins and when it ends.
func TestGracePeriodWaitsForPrograms(t *testing.T) {
	g, err := newGrace()
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	const rounds = 100
	enough := rounds
	if testing.Short() { // under emulation
		enough = 3
	}
	tested := 0
	for name, hook := range graceHooks {
		t.Run(name, func(t *testing.T) {
			c := caller.Command(t, "option 3:2000000000")
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = c.Process.Kill()
				_ = c.Wait()
			}()
			counts, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 16, MaxEntries: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer counts.Close()
			spec := hook.program
			spec.License, spec.Instructions = "GPL", slowProgram(counts, c.Process.Pid)
			program, err := ebpf.NewProgram(&spec)
			if err != nil {
				t.Logf("does not load here: %v", err)
				return
			}
			defer program.Close()
			closer, err := hook.attach(program)
			if err != nil {
				t.Logf("does not attach here: %v", err)
				return
			}
			defer closer.Close()
			tested++
			running := 0
			for round := 0; round < rounds && running < enough; round++ {
				var before, after [2]uint64
				if err := counts.Lookup(uint32(0), &before); err != nil {
					t.Fatal(err)
				}
				if err := g.wait(); err != nil {
					t.Fatal(err)
				}
				if err := counts.Lookup(uint32(0), &after); err != nil {
					t.Fatal(err)
				}
				if after[1] < before[0] {
					t.Fatalf("%d runs had begun, and only %d have ended after the grace period", before[0], after[1])
				}
				if before[0] != before[1] {
					running++
				}
			}
			if running == 0 {
				t.Error("no program ran at the begin of a grace period, so nothing was tested")
			}
		})
	}
	if tested == 0 {
		t.Error("no way to run a program works here")
	}
}

// slowProgram counts the calls of a process twice, and reads the clock in between.
func slowProgram(counts *ebpf.Map, pid int) asm.Instructions {
	const rounds = 20_000
	return asm.Instructions{
		asm.FnGetCurrentPidTgid.Call(),
		asm.RSh.Imm(asm.R0, 32),
		asm.JNE.Imm(asm.R0, int32(pid), "exit"),
		asm.StoreImm(asm.RFP, -8, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, counts.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -8),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "exit"),
		asm.Mov.Reg(asm.R6, asm.R0),
		asm.Mov.Imm(asm.R1, 1),
		asm.StoreXAdd(asm.R6, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R7, 0),
		asm.FnKtimeGetNs.Call().WithSymbol("round"),
		asm.Add.Imm(asm.R7, 1),
		asm.JLT.Imm(asm.R7, rounds, "round"),
		asm.Add.Imm(asm.R6, 8),
		asm.Mov.Imm(asm.R1, 1),
		asm.StoreXAdd(asm.R6, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("exit"),
		asm.Return(),
	}
}
