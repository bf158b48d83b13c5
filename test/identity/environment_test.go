// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
	"github.com/getsockopt/getsockoptreceiver/internal/selection"
)

// services is what a pod sees of the others in its namespace.
func services(n int) []string {
	var environment []string
	for i := range n {
		environment = append(environment, fmt.Sprintf("SVC%05d_PORT_80_TCP_ADDR=10.96.100.100", i))
	}
	return environment
}

func repeated(n int, s string) string { return strings.Repeat(s, n) }

// However large an environment is, and wherever the variables stand, spans and
// metrics go by the name that getenv(3) returns.
func TestServiceNameAgreesWithGetenv(t *testing.T) {
	const name, namespace = "OTEL_SERVICE_NAME=shop", "OTEL_RESOURCE_ATTRIBUTES=service.namespace=mall"
	// As long as a variable can be that is not cut.
	longest := ("OTEL_RESOURCE_ATTRIBUTES=a=" + repeated(5000, "x"))[:4095-len(",service.namespace=mall")] + ",service.namespace=mall"
	w := watch(t, probe.GroupByService, selection.List{})
	for what, environment := range map[string][]string{
		"none":                   {"A=b"},
		"two":                    {name, namespace},
		"700 before":             append(services(700), name, namespace),
		"700 between":            append(append([]string{name}, services(700)...), namespace),
		"3000 before":            append(services(3000), name, namespace),
		"3000 between":           append(append([]string{name}, services(3000)...), namespace),
		"3000 between, reversed": append(append([]string{namespace}, services(3000)...), name),
		"3000 and none":          services(3000),
		"40 KB":                  {"A=" + repeated(20000, "x"), "B=" + repeated(20000, "y"), name, namespace},
		"200 KB":                 {"A=" + repeated(100_000, "x"), "B=" + repeated(100_000, "y"), name, namespace},
		"1.5 MB":                 append(services(35_000), name, namespace),
		"a string that is none":  {"A", name, "B", namespace},
		// Bytes within a long value are no variable, wherever a read of them ends.
		"within a value":            {"A=" + repeated(4094-len("A=")+1, "x") + name + "x", namespace},
		"within a value, too":       {"A=" + repeated(4094-len("A=")+2, "x") + name + "y", namespace},
		"behind a value of 4095":    {"A=" + repeated(4095-len("A="), "x"), name, namespace},
		"behind a value of 4096":    {"A=" + repeated(4096-len("A="), "x"), name, namespace},
		"behind a value of 8190":    {"A=" + repeated(8190-len("A="), "x"), name, namespace},
		"twice":                     {name, "OTEL_SERVICE_NAME=other", namespace},
		"behind long attributes":    {"OTEL_RESOURCE_ATTRIBUTES=a=" + repeated(9000, "x"), name},
		"within long attributes":    {"OTEL_RESOURCE_ATTRIBUTES=service.name=shop,a=" + repeated(9000, "x")},
		"at the end of attributes":  {("OTEL_RESOURCE_ATTRIBUTES=service.namespace=mall,a=" + repeated(5000, "x"))[:4095-len(",service.name=sh")] + ",service.name=shopping"},
		"at the end, uncut":         {("OTEL_RESOURCE_ATTRIBUTES=service.namespace=mall,a=" + repeated(5000, "x"))[:4095-len(",service.name=shop")] + ",service.name=shop"},
		"only the name cut":         {"OTEL_SERVICE_NAME=" + repeated(300, "x"), longest},
		"the same, completed":       append(services(3000), "OTEL_SERVICE_NAME="+repeated(300, "x"), longest),
		"attributes without commas": {"OTEL_RESOURCE_ATTRIBUTES=service.name=" + repeated(5000, "x")},
	} {
		t.Run(what, func(t *testing.T) {
			c := exec.Command(steps, "call")
			c.Env = environment
			p := start(t, c)
			s := w.look(t, p.pid)
			want := p.env
			switch {
			case what == "within long attributes", what == "at the end, uncut":
				want = "shop"
			case want == "":
				want = "steps"
			case len(want) > 255:
				want = want[:255]
			}
			if attribute(s.spans, "service.name") != want || attribute(s.metrics, "service.name") != want {
				t.Errorf("spans are of %q, metrics of %q, want %q", attribute(s.spans, "service.name"), attribute(s.metrics, "service.name"), want)
			}
			wantNamespace := any(nil)
			if joined := strings.Join(environment, "\n"); strings.Contains(joined, "service.namespace=mall") {
				wantNamespace = "mall"
			}
			if a, b := attribute(s.spans, "service.namespace"), attribute(s.metrics, "service.namespace"); a != wantNamespace || b != wantNamespace {
				t.Errorf("namespaces %q and %q, want %q", a, b, wantNamespace)
			}
			p.end()
		})
	}
}

// What is not whole is counted, as what it is.
func TestIncompleteEnvironments(t *testing.T) {
	const variables = "OTEL_SERVICE_NAME=shop"
	for what, test := range map[string]struct {
		environment      []string
		steps            []string
		want             string
		cut, overwritten uint64
	}{
		"whole":                     {[]string{variables}, nil, "shop", 0, 0},
		"name of 255":               {[]string{"OTEL_SERVICE_NAME=" + repeated(255, "x")}, nil, repeated(255, "x"), 0, 0},
		"name of 256":               {[]string{"OTEL_SERVICE_NAME=" + repeated(256, "x")}, nil, repeated(255, "x"), 1, 0},
		"name of 9000":              {[]string{"OTEL_SERVICE_NAME=" + repeated(9000, "x")}, nil, repeated(255, "x"), 1, 0},
		"attributes of 4095":        {[]string{variables, "OTEL_RESOURCE_ATTRIBUTES=" + repeated(4095-25, "x")}, nil, "shop", 0, 0},
		"attributes of 4096":        {[]string{variables, "OTEL_RESOURCE_ATTRIBUTES=" + repeated(4096-25, "x")}, nil, "shop", 1, 0},
		"attributes first":          {[]string{"OTEL_RESOURCE_ATTRIBUTES=" + repeated(9000, "x"), variables}, nil, "shop", 1, 0},
		"completed, cut":            {append(services(3000), variables, "OTEL_RESOURCE_ATTRIBUTES="+repeated(9000, "x")), nil, "shop", 1, 0},
		"cut, completed":            {append([]string{"OTEL_RESOURCE_ATTRIBUTES=" + repeated(9000, "x")}, append(services(3000), variables)...), nil, "shop", 1, 0},
		"NULs":                      {[]string{"A=b", variables}, []string{"overwrite", "nul"}, "steps", 0, 1},
		"NULs over much":            {append(services(1000), variables), []string{"overwrite", "nul"}, "steps", 0, 1},
		"NULs over too much":        {append(services(30_000), variables), []string{"overwrite", "nul"}, "steps", 0, 1},
		"blanks":                    {[]string{"A=b", variables}, []string{"overwrite", "blank"}, "steps", 0, 1},
		"without the arguments":     {[]string{"A=b", variables}, []string{"overwrite", "environment"}, "steps", 0, 1},
		"rest that is a variable":   {[]string{"XXX_" + variables, "A=b"}, []string{"overwrite", "title"}, "steps", 0, 1},
		"variable behind the title": {[]string{"ABC=def", variables}, []string{"overwrite", "title"}, "shop", 0, 1},
		"no environment":            {[]string{}, nil, "steps", 0, 0},
	} {
		t.Run(what, func(t *testing.T) {
			w := watch(t, probe.GroupByService, selection.List{})
			c := exec.Command(steps, append(test.steps, "call")...)
			c.Env = test.environment
			p := start(t, c)
			s := w.look(t, p.pid)
			if attribute(s.spans, "service.name") != test.want || attribute(s.metrics, "service.name") != test.want {
				t.Errorf("spans are of %q, metrics of %q, want %q", attribute(s.spans, "service.name"), attribute(s.metrics, "service.name"), test.want)
			}
			completed := w.procfs.Incomplete()
			if got := s.counted.VariableCut + completed.VariableCut; got != test.cut {
				t.Errorf("%d variables counted as cut, want %d", got, test.cut)
			}
			if got := s.counted.EnvironmentOverwritten + completed.EnvironmentOverwritten; got != test.overwritten {
				t.Errorf("%d environments counted as overwritten, want %d", got, test.overwritten)
			}
			if completed.EnvironmentUnavailable != 0 {
				t.Errorf("%d environments counted as unavailable", completed.EnvironmentUnavailable)
			}
		})
	}
}
