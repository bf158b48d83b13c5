// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/test/internal/threadcontext"
)

// Options of testdata/churn.c.
const (
	churnFirst  = 4000
	churnReused = 4100
	churnNone   = 4300
	churnEnd    = 4400
)

// Threads and processes come and go, also with the pids of others, and libraries are loaded
// and unloaded: a call may miss its parent then, and never has another.
func TestPublishersThatComeAndGo(t *testing.T) {
	for _, model := range []string{"loaded descriptor", "loaded general dynamic", "loaded descriptor, dynamic"} {
		t.Run(model, func(t *testing.T) {
			library := filepath.Join(filepath.Dir(buildModel(t, model)), threadcontext.Library)
			executable := compile(t, "churn", "churn.c", "-mgeneral-regs-only", `-DLIBRARY="`+library+`"`, "-pthread", "-ldl")
			r := watch(t, executable)
			command := exec.Command(executable)
			command.Env = append(command.Environ(), "GLIBC_TUNABLES="+models[model].Tunables)
			p := start(t, command)
			r.awaitPublished(t, p.command.Process.Pid, record.ProcessKey{})
			p.proceed(t)
			p.finish(t)
			calls := r.take(t)
			for option := int32(churnFirst); option < churnEnd; option++ {
				checkChurn(t, option, calls[option])
			}
			// Processes have theirs all the same.
			for i := int32(1); i <= 16; i++ {
				if c := calls[churnReused+i]; len(c) != 1 || c[0].Parent.Source == record.SourceNone {
					t.Errorf("process %d, with the pid of another: %+v, want one call with a parent", i, c)
				}
			}
		})
	}
}

func checkChurn(t *testing.T, option int32, calls []record.Call) {
	t.Helper()
	ids := bytes.Repeat([]byte{byte(option - churnFirst)}, 24)
	for _, c := range calls {
		switch got := c.Parent; {
		case got.Source == record.SourceNone:
		case option >= churnNone:
			t.Errorf("option %d has the parent %+v, want none", option, got)
		case !bytes.Equal(append(got.TraceID[:], got.SpanID[:]...), ids):
			t.Errorf("option %d has the parent %+v, want %x", option, got, ids)
		}
	}
}
