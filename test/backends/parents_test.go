// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// Children of an application's spans can be counted as other spans, before and behind
// samplers, also when the application samples: their threshold and randomness agree, though
// the trace id is another's.
func TestSamplersOfChildren(t *testing.T) {
	application := harness.Application(t)
	m := startModes(t, fmt.Sprintf("select: {executables: [%s]}, spans: {sampling_ratio: 0.5, max_per_second: 0, always_keep: {failed: false}}",
		filepath.Base(application)))
	type made struct{ calls, children int }
	services := make(map[string]made)
	for service, sampler := range map[string]string{"always": "always_on", "one-in-ten": "parentbased_traceidratio"} {
		// An application is known to publish its spans within a second, before its first call.
		command := exec.Command(application, "300")
		command.Env = append(os.Environ(), "OTEL_SERVICE_NAME="+service, "OTEL_TRACES_SAMPLER="+sampler, "OTEL_TRACES_SAMPLER_ARG=0.1")
		command.Stdin = &harness.Delayed{After: time.Second, Line: "\n"}
		out, err := command.Output()
		if err != nil {
			t.Fatal(err)
		}
		calls := bytes.Count(out, []byte("\n"))
		services[service] = made{calls, calls - bytes.Count(out, []byte(" 0000000000000000\n"))}
	}
	m.collector.stop(t)
	for service, made := range services {
		m.check(t, service, service, anySpan, made.calls)
		m.check(t, service, "children of "+service, childSpan, made.children)
	}
}
