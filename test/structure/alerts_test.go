// SPDX-License-Identifier: Apache-2.0

package structure

import (
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var alertHeading = regexp.MustCompile(`(?m)^### (Getsockopt\w+)$`)

// Whoever is woken by an alert follows its link: each leads to an entry of
// docs/runbooks.md, and no entry is about an alert that is gone.
func TestEachAlertHasARunbook(t *testing.T) {
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert       string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "deploy/prometheus/rules.yaml")), &rules); err != nil {
		t.Fatal(err)
	}
	entries := map[string]bool{}
	for _, match := range alertHeading.FindAllStringSubmatch(read(t, "docs/runbooks.md"), -1) {
		entries[match[1]] = false
	}
	tests := read(t, "deploy/prometheus/rules_test.yaml")
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			if rule.Alert == "" {
				continue
			}
			if _, found := entries[rule.Alert]; !found {
				t.Errorf("docs/runbooks.md has no entry for %s", rule.Alert)
			}
			entries[rule.Alert] = true
			want := "https://" + module + "blob/main/docs/runbooks.md#" + strings.ToLower(rule.Alert)
			if got := rule.Annotations["runbook_url"]; got != want {
				t.Errorf("runbook_url of %s is %q, want %q", rule.Alert, got, want)
			}
			if rule.Annotations["summary"] == "" || rule.Labels["severity"] == "" {
				t.Errorf("%s has no summary or no severity", rule.Alert)
			}
			if !strings.Contains(tests, "alertname: "+rule.Alert+"\n") {
				t.Errorf("rules_test.yaml has no case for %s", rule.Alert)
			}
		}
	}
	for name, used := range entries {
		if !used {
			t.Errorf("docs/runbooks.md has an entry for %s, which is no alert", name)
		}
	}
}

var equation = regexp.MustCompile(`(?m)^seen = (.+)$`)

// The rules of the accounting have each term of its equations: the first one is whole, the
// second one is solved for the calls in metrics.
func TestRulesHaveEachTermOfTheAccounting(t *testing.T) {
	equations := equation.FindAllStringSubmatch(read(t, "docs/accounting.md"), -1)
	rules := []string{"getsockopt:spans:unaccounted", "getsockopt:calls:counted"}
	if len(equations) != len(rules) {
		t.Fatalf("docs/accounting.md has %d equations, want %d", len(equations), len(rules))
	}
	all := read(t, "deploy/prometheus/rules.yaml")
	for i, rule := range rules {
		_, expression, found := strings.Cut(all, "- record: "+rule+"\n")
		if !found {
			t.Fatalf("there is no rule %s", rule)
		}
		expression, _, _ = strings.Cut(expression, "\n      - ")
		for _, term := range strings.Split("seen + "+equations[i][1], " + ") {
			name, _, _ := strings.Cut(term, "{")
			if name == "sum(socket.getsockopt.calls)" {
				continue
			}
			if !regexp.MustCompile(`\botelcol_receiver_getsockopt_` + name + `\b`).MatchString(expression) {
				t.Errorf("%s has no term %s", rule, name)
			}
		}
	}
}
