// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// One error that names the key and the offending item.
func TestBadSettingNamesKeyAndItem(t *testing.T) {
	for _, test := range []struct{ settings, key, item string }{
		{"spans: {sampling_ratio: 1.5}", "spans: sampling_ratio", "1.5"},
		{"spans: {sampling_ratio: -0.1}", "spans: sampling_ratio", "-0.1"},
		{"spans: {sampling_ratio: .nan}", "spans: sampling_ratio", "NaN"},
		{"spans: {sampling_ratio: a tenth}", "spans.sampling_ratio", "float64"},
		{"spans: {max_per_second: -1}", "spans: max_per_second", "-1"},
		{"spans: {max_per_second: .inf}", "spans: max_per_second", "+Inf"},
		{"spans: {always_keep: {slower_than: -5ms}}", "spans::always_keep: slower_than", "-5ms"},
		{"cardinality_limit: 0", "cardinality_limit", "got 0"},
		{"group_by: pod", "group_by", `"pod"`},
		{"select: {options: [SOL_SOCKET/SO_TYPE, SO_ERROR]}", "select::options", `item 2, "SO_ERROR"`},
		{"select: {options: [SOL_SOCKET/SO_EROR]}", "select::options", `"SO_EROR"`},
		{"select: {options: [SOL_SOX/*]}", "select::options", `"SOL_SOX"`},
		{"select: {executables: [nginx, 'a[b']}", "select::executables", `item 2, "a[b"`},
		{"select: {exclude: {executables: ['']}}", "select::exclude::executables", `item 1, ""`},
		{"select: {exclude: {options: [IPPROTO_TCP]}}", "select::exclude::options", `"IPPROTO_TCP"`},
		{"select: {containers: [web]}", "select::containers", `"web"`},
		{"select: {users: [-1]}", "select::users", `"-1"`},
	} {
		t.Run(test.settings, func(t *testing.T) {
			t.Parallel()
			config := harness.WriteFile(t, "collector.yaml", "receivers: {getsockopt: {"+test.settings+`}}
exporters: {debug: }
service: {pipelines: {traces: {receivers: [getsockopt], exporters: [debug]}}}
`)
			output, err := exec.Command(harness.Built(t, harness.Collector), "validate", "--config", config).CombinedOutput()
			message := string(output)
			if err == nil || strings.Count(message, "Error: ") != 1 || strings.Contains(message, "panic") {
				t.Fatalf("%v, want one error\n%s", err, message)
			}
			for _, want := range []string{"getsockopt", test.key, test.item} {
				if !strings.Contains(message, want) {
					t.Errorf("the error does not name %s\n%s", want, message)
				}
			}
		})
	}
}
