// SPDX-License-Identifier: Apache-2.0

package path

import (
	"fmt"
	"math/bits"

	"github.com/cilium/ebpf/asm"
)

// operand is the second operand: a register, or a constant that is extended
// with its sign.
func operand(ins *asm.Instruction, r *[11]uint64) uint64 {
	if ins.OpCode.Source() == asm.RegSource {
		return r[ins.Src]
	}
	return uint64(ins.Constant)
}

// calculate is an instruction on registers. Those on 32 bits clear the rest.
func calculate(ins *asm.Instruction, r *[11]uint64) error {
	wide := ins.OpCode.Class() == asm.ALU64Class
	a, b := r[ins.Dst], operand(ins, r)
	shift := b & 63
	if !wide {
		a, b, shift = uint64(uint32(a)), uint64(uint32(b)), b&31
	}
	var result uint64
	switch op := ins.OpCode.ALUOp(); op {
	case asm.Add:
		result = a + b
	case asm.Sub:
		result = a - b
	case asm.Mul:
		result = a * b
	case asm.Div:
		if b != 0 {
			result = a / b
		}
	case asm.Mod:
		if result = a; b != 0 {
			result = a % b
		}
	case asm.Or:
		result = a | b
	case asm.And:
		result = a & b
	case asm.Xor:
		result = a ^ b
	case asm.LSh:
		result = a << shift
	case asm.RSh:
		result = a >> shift
	case asm.ArSh:
		if wide {
			result = uint64(int64(a) >> shift)
		} else {
			result = uint64(int32(a) >> shift)
		}
	case asm.Neg:
		result = -a
	case asm.Mov:
		result = b
	case asm.Swap:
		// On the little-endian architectures built for, only to big endian
		// changes anything. The result fills the width named.
		if ins.OpCode.Endianness() == asm.LE {
			return nil
		}
		switch ins.Constant {
		case 16:
			r[ins.Dst] = uint64(bits.ReverseBytes16(uint16(r[ins.Dst])))
		case 32:
			r[ins.Dst] = uint64(bits.ReverseBytes32(uint32(r[ins.Dst])))
		default:
			r[ins.Dst] = bits.ReverseBytes64(r[ins.Dst])
		}
		return nil
	default:
		return fmt.Errorf("unknown operation %v", op)
	}
	if !wide {
		result = uint64(uint32(result))
	}
	r[ins.Dst] = result
	return nil
}

// compare reports whether a conditional jump is taken.
func compare(ins *asm.Instruction, r *[11]uint64) (bool, error) {
	a, b := r[ins.Dst], operand(ins, r)
	signedA, signedB := int64(a), int64(b)
	if ins.OpCode.Class() == asm.Jump32Class {
		a, b = uint64(uint32(a)), uint64(uint32(b))
		signedA, signedB = int64(int32(a)), int64(int32(b))
	}
	switch op := ins.OpCode.JumpOp(); op {
	case asm.JEq:
		return a == b, nil
	case asm.JNE:
		return a != b, nil
	case asm.JGT:
		return a > b, nil
	case asm.JGE:
		return a >= b, nil
	case asm.JLT:
		return a < b, nil
	case asm.JLE:
		return a <= b, nil
	case asm.JSet:
		return a&b != 0, nil
	case asm.JSGT:
		return signedA > signedB, nil
	case asm.JSGE:
		return signedA >= signedB, nil
	case asm.JSLT:
		return signedA < signedB, nil
	case asm.JSLE:
		return signedA <= signedB, nil
	default:
		return false, fmt.Errorf("unknown jump %v", op)
	}
}
