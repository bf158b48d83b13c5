// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"slices"
	"testing"
)

func TestDeepestChain(t *testing.T) {
	for _, test := range []struct {
		name   string
		frames []int
		calls  [][]int
		want   int
	}{
		{"one function", []int{456}, [][]int{nil}, 480},
		{"an empty frame takes a unit", []int{0}, [][]int{nil}, 32},
		{"a whole unit", []int{32}, [][]int{nil}, 32},
		{"a chain", []int{48, 320, 8}, [][]int{{1}, {2}, nil}, 64 + 320 + 32},
		{"two functions of one caller", []int{16, 100, 200}, [][]int{{1, 2}, nil, nil}, 32 + 224},
		{"a deep chain of small ones", []int{16, 100, 8, 64, 64}, [][]int{{1, 2}, nil, {3}, {4}, nil}, 32 + 32 + 64 + 64},
		{"a function that two others call", []int{8, 8, 64, 96}, [][]int{{1, 2}, {3}, {3}, nil}, 32 + 64 + 96},
		{"a function that is not called", []int{8, 400}, [][]int{nil, nil}, 32},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := deepest(test.frames, test.calls, 0); got != test.want {
				t.Errorf("%d bytes, want %d", got, test.want)
			}
		})
	}
}

func TestParse(t *testing.T) {
	for kernel, test := range map[string]struct {
		log          string
		instructions int
		frames       []int
	}{
		"5.10": {
			"verification time 2330714 usec\nstack depth 4+320+32+12+8+0+4\n" +
				"processed 53324 insns (limit 1000000) max_states_per_insn 26 total_states 3815 peak_states 1151 mark_read 66\n",
			53324,
			[]int{4, 320, 32, 12, 8, 0, 4},
		},
		"6.1": {
			"verification time 81672 usec\nstack depth 112+40+16+16+0+0+32+16+8+8+8+8+8\n" +
				"processed 12422 insns (limit 1000000) max_states_per_insn 26 total_states 488 peak_states 377 mark_read 36\n",
			12422,
			[]int{112, 40, 16, 16, 0, 0, 32, 16, 8, 8, 8, 8, 8},
		},
		"6.18, one function": {
			"verification time 14356 usec\nstack depth 456\n" +
				"processed 19022 insns (limit 1000000) max_states_per_insn 24 total_states 1313 peak_states 538 mark_read 0\n",
			19022,
			[]int{456},
		},
		"7, private stacks": {
			"verification time 209407 usec\nstack depth 112+40+0+0+8+8 max 112\ninsns processed 1804+1362+292+357+155+180\n" +
				"processed 4150 insns (limit 1000000) max_states_per_insn 5 total_states 244 peak_states 218 mark_read 0\n",
			4150,
			[]int{112, 40, 0, 0, 8, 8},
		},
	} {
		t.Run(kernel, func(t *testing.T) {
			instructions, frames, err := parse(test.log)
			if err != nil || instructions != test.instructions || !slices.Equal(frames, test.frames) {
				t.Errorf("%d instructions, stack of %v, error %v; want %d and %v", instructions, frames, err, test.instructions, test.frames)
			}
		})
	}
}

func TestParseWithoutStatistics(t *testing.T) {
	for name, log := range map[string]string{
		"empty":                    "",
		"without level":            "processed 8 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n",
		"cut off":                  "verification time 10 usec\nstack depth 8+0\n",
		"too many instructions":    "stack depth 8\nprocessed 99999999999999999999 insns (limit 1000000)\n",
		"stack of no number":       "stack depth +8\nprocessed 8 insns (limit 1000000)\n",
		"a refusal that quotes it": "func 3: stack depth 8\nnot processed 8 insns (limit 1000000)\n",
	} {
		t.Run(name, func(t *testing.T) {
			if instructions, frames, err := parse(log); err == nil {
				t.Errorf("parsed as %d instructions and stack of %v", instructions, frames)
			}
		})
	}
}
