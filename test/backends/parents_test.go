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
// samplers: their threshold and randomness agree, though the trace id is another's.
func TestSamplersOfChildren(t *testing.T) {
	const service = "application"
	application := harness.Application(t)
	raw, equalized, halved := newSink(t), newSink(t), newSink(t)
	c := collector(t, nil, "--config", harness.WriteFile(t, "collector.yaml", fmt.Sprintf(`
receivers:
  getsockopt:
    select: {executables: [%s]}
    spans: {sampling_ratio: 0.5, max_per_second: 0, always_keep: {failed: false}}
processors:
  probabilistic_sampler/equalized: {mode: equalizing, sampling_percentage: 20}
  probabilistic_sampler/halved: {mode: proportional, sampling_percentage: 50}
exporters:
  otlp_http/raw: {endpoint: %s}
  otlp_http/equalized: {endpoint: %s}
  otlp_http/halved: {endpoint: %s}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces/raw: {receivers: [getsockopt], exporters: [otlp_http/raw]}
    traces/equalized: {receivers: [getsockopt], processors: [probabilistic_sampler/equalized], exporters: [otlp_http/equalized]}
    traces/halved: {receivers: [getsockopt], processors: [probabilistic_sampler/halved], exporters: [otlp_http/halved]}
`, filepath.Base(application), raw.serve(t), equalized.serve(t), halved.serve(t))))

	// An application is known to publish its spans within a second, before its first call.
	command := exec.Command(application, "300")
	command.Env = append(os.Environ(), "OTEL_SERVICE_NAME="+service)
	command.Stdin = &harness.Delayed{After: time.Second, Line: "\n"}
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	c.stop(t)
	calls, outside := bytes.Count(out, []byte("\n")), bytes.Count(out, []byte(" 0000000000000000\n"))

	before := raw.spansOf(service, anySpan)
	estimateOf(before).check(t, "as sent", calls)
	var children []span
	for _, s := range before {
		if !s.parentID.IsEmpty() {
			children = append(children, s)
		}
	}
	estimateOf(children).check(t, "children as sent", calls-outside)
	for _, after := range []struct {
		what string
		sink *sink
		want func(span) uint64
	}{
		{"equalizing", equalized, func(s span) uint64 { return max(s.threshold, threshold(1/0.2)) }},
		{"proportional", halved, func(s span) uint64 { return threshold(1 / (probability(s.threshold) * 0.5)) }},
	} {
		spans := after.sink.spansOf(service, anySpan)
		consistent(t, after.what, before, spans, after.want)
		estimateOf(spans).check(t, after.what, calls)
	}
}
