// SPDX-License-Identifier: Apache-2.0

package structure

import (
	"os/exec"
	"strings"
	"testing"
)

// A distribution for several platforms can have the receiver on all of them: the
// package compiles, and its factory reports that it is not supported.
func TestReceiverCompilesOnEveryPlatform(t *testing.T) {
	for _, platform := range []string{"darwin/arm64", "windows/amd64", "linux/ppc64le", "linux/386"} {
		t.Run(platform, func(t *testing.T) {
			system, architecture, _ := strings.Cut(platform, "/")
			// It compiles the tests as well; fast, because nothing runs.
			cmd := exec.Command("go", "vet", "-gcflags=all=-N -l", "./receiver/getsockoptreceiver")
			cmd.Dir = root
			cmd.Env = append(cmd.Environ(), "GOOS="+system, "GOARCH="+architecture, "CGO_ENABLED=0")
			if output, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
}
