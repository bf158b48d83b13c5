// SPDX-License-Identifier: Apache-2.0

package ship

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
	"github.com/getsockopt/getsockoptreceiver/test/internal/otlpsink"
)

// limit is more than anything here takes, on a busy host.
const limit = time.Minute

func TestMain(m *testing.M) {
	caller.Main()
	os.Exit(m.Run())
}

// command runs a program to its end, and returns what it writes to standard output.
func command(t *testing.T, name string, arguments ...string) string {
	t.Helper()
	// Not the test's context, which is over when it cleans up.
	ctx, cancel := context.WithTimeout(context.Background(), 10*limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, arguments...)
	// Reading the output ends with the program, even if a child of it lives on.
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%q: %v\n%s%s", cmd.Args, err, &stdout, &stderr)
	}
	return strings.TrimSpace(stdout.String())
}

func version(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(harness.File("VERSION"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// sink is a gateway that keeps the container of each SO_ERROR, by service.
type sink struct {
	url string

	mu         sync.Mutex
	containers map[string]string
}

func newSink(t *testing.T) *sink {
	t.Helper()
	s := &sink{containers: map[string]string{}}
	server := httptest.NewServer(otlpsink.Handler(func(err error) { t.Error(err) }, func(b otlpsink.Batch) error {
		if b.Traces == nil {
			return errors.New("only traces were asked for")
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for resource, span := range otlpsink.Spans(*b.Traces) {
			if span.Name() == "getsockopt SO_ERROR" {
				s.containers[otlpsink.Text(resource.Attributes(), "service.name")] = otlpsink.Text(resource.Attributes(), "container.id")
			}
		}
		return nil
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// await waits for the calls of a service, and returns the id of its container.
func (s *sink) await(t *testing.T, service string) string {
	t.Helper()
	var id string
	harness.Eventually(t, limit, "the calls of "+service+" arrive", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		var found bool
		id, found = s.containers[service]
		return found
	})
	return id
}
