// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	check "github.com/getsockopt/getsockoptreceiver/test/internal/registry"
)

var (
	traceQL   = regexp.MustCompile("(?s)```traceql\n(.*?)```")
	jaegerTag = regexp.MustCompile(`(?m)^tags: ([\w.]+)=`)
	attribute = regexp.MustCompile(`\b(span|resource)\.([a-z_]+(?:\.[a-z_]+)*)`)
)

// A query with a misspelt name is valid and finds nothing: the attributes in the queries of
// the cookbook are those of spans and of their resources.
func TestQueriesNameAttributes(t *testing.T) {
	r := load(t)
	names := map[string]map[string]bool{
		// The Collector adds the host (config/agent.yaml).
		"resource": {"host.name": true},
		"span":     {},
	}
	for scope, groups := range map[string][]string{
		"resource": {check.ResourceGroup},
		"span":     {check.SpanGroup, "attributes.tcp.info"},
	} {
		for _, group := range groups {
			for _, a := range r.Group(group).Attributes {
				names[scope][a.ID] = true
			}
		}
	}
	b, err := os.ReadFile(filepath.Join(root(), "docs/cookbook.md"))
	if err != nil {
		t.Fatal(err)
	}
	queries := traceQL.FindAllSubmatch(b, -1)
	tags := jaegerTag.FindAllSubmatch(b, -1)
	if len(queries) == 0 || len(tags) == 0 {
		t.Fatal("the cookbook shows no queries")
	}
	for _, query := range queries {
		for _, match := range attribute.FindAllSubmatch(query[1], -1) {
			if scope, name := string(match[1]), string(match[2]); !names[scope][name] {
				t.Errorf("%s has no attribute %s, in the query\n%s", scope, name, query[1])
			}
		}
	}
	for _, tag := range tags {
		if name := string(tag[1]); !names["span"][name] && !names["resource"][name] {
			t.Errorf("no span has the tag %s", name)
		}
	}
}
