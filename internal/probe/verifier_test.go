// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/rlimit"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/selection"
	"github.com/getsockopt/getsockoptreceiver/test/kernels/report"
	"github.com/getsockopt/getsockoptreceiver/test/kernels/verifier"
)

// What every program costs the verifier of this kernel: its stack is in bounds,
// and test/kernels reads the costs from the output and compares them with its table.
func TestVerifierCost(t *testing.T) {
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	kernel := btf.NewCache()
	u, err := findIOUring(kernel)
	if err != nil {
		t.Fatal(err)
	}
	object, err := bpf.LoadGetsockopt()
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range verifiedConfigurations(t) {
		loaded := 0
		for _, l := range verifierLoads(u) {
			c, err := l.load(object.Copy(), o, kernel)
			for _, s := range l.attachments {
				r := report.Result{Case: report.Verifier(name, s.program)}
				if err != nil {
					r.Outcome, r.Detail = report.Refused, err.Error()
				} else {
					cost, err := verifier.Measure(c.Programs[s.program])
					if err != nil {
						t.Fatalf("%s: %v", r.Case, err)
					}
					if cost.Stack > report.StackMax {
						t.Errorf("%s: %d bytes of stack, want at most %d: the verifier rejects more than %d", r.Case, cost.Stack, report.StackMax, report.StackLimit)
					}
					r.Outcome, r.Cost = report.Works, &cost
					loaded++
				}
				t.Log(strings.TrimSpace(r.Line()))
			}
			if err == nil {
				c.Close()
			}
		}
		if loaded == 0 {
			t.Errorf("the kernel accepts no program with the configuration %s", name)
		}
	}
}

// verifiedConfigurations are the default, and the one with the largest programs: the
// verifier does not process code that a configuration disables.
func verifiedConfigurations(t *testing.T) map[string]*Options {
	t.Helper()
	rules := selection.List{Options: []string{"SOL_SOCKET/*"}, Containers: []string{"0123"}, Users: []int{0}}
	const patterns = 256 // the most there may be
	for i := range patterns - len(rules.Containers) {
		rules.Executables = append(rules.Executables, fmt.Sprintf("%d*", i))
	}
	selected, err := selection.Compile(rules, selection.List{})
	if err != nil {
		t.Fatal(err)
	}
	normal, full := spans(HookAuto), spans(HookAuto)
	full.ValueMaxLength = 4096
	full.KeepSlower = time.Second
	full.GroupBy = GroupByService | GroupByContainer | GroupBySystemdUnit | GroupByProcess
	full.PeerParts = record.PeerAddress | record.PeerPort
	full.Selection = selected
	normal.setDefaults()
	full.setDefaults()
	return map[string]*Options{"default": &normal, "full": &full}
}

// verifierLoad is a set of programs that the probe loads together.
type verifierLoad struct {
	attachments []attachment
	events      ioUringEvents
}

// verifierLoads returns what the probe may load on this kernel, each program once:
// with the last hook that it serves, which uses most of its code.
func verifierLoads(u ioUring) []verifierLoad {
	var loads []verifierLoad
	known := make(map[string]bool)
	for _, h := range slices.Backward(hooks) {
		events := u.eventsOf(h)
		together := [][]attachment{{h.exit, h.enter}}
		if u.possible {
			together = append(together, h.ioUring, events.attachments(h))
		}
		together = append(together, h.contextAttachments(&Options{Spans: true, Parents: true}))
		for _, attachments := range together {
			var fresh []attachment
			for _, s := range attachments {
				if !known[s.program] {
					known[s.program] = true
					fresh = append(fresh, s)
				}
			}
			if fresh != nil {
				loads = append(loads, verifierLoad{fresh, events})
			}
		}
	}
	return loads
}

func (l verifierLoad) load(spec *ebpf.CollectionSpec, o *Options, kernel *btf.Cache) (*ebpf.Collection, error) {
	keepPrograms(spec, l.attachments)
	if err := configure(spec, o, newSelfTest(), l.events, kernel); err != nil {
		return nil, err
	}
	return ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{
		Programs: ebpf.ProgramOptions{LogLevel: ebpf.LogLevelStats},
		Cache:    kernel,
	})
}

// keepPrograms removes the other programs.
func keepPrograms(spec *ebpf.CollectionSpec, attachments []attachment) {
	for name := range spec.Programs {
		if !slices.ContainsFunc(attachments, func(a attachment) bool { return a.program == name }) {
			delete(spec.Programs, name)
		}
	}
}
