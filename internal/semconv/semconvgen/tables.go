// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/getsockopt/getsockoptreceiver/internal/semconv/registry"
)

var marked = regexp.MustCompile(`(?s)<!-- semconv ([\w.]+) -->\n.*?<!-- endsemconv -->`)

// tables replaces the text between the markers of a document by a table: the attributes of
// a span or a group, or a metric with its attributes.
func tables(r *registry.Registry, document []byte) ([]byte, error) {
	var fault error
	return marked.ReplaceAllFunc(document, func(old []byte) []byte {
		id := string(marked.FindSubmatch(old)[1])
		g := r.Group(id)
		if g == nil {
			fault = fmt.Errorf("no group %s in model/", id)
			return old
		}
		var out bytes.Buffer
		fmt.Fprintf(&out, "<!-- semconv %s -->\n", id)
		if g.Type == "metric" {
			fmt.Fprintf(&out, "| name | instrument | unit | meaning |\n| --- | --- | --- | --- |\n| `%s` | %s | `%s` | %s |\n\n",
				g.MetricName, g.Instrument, g.Unit, cell(g.Brief, g.Note))
		}
		out.WriteString("| attribute | type | requirement | meaning | examples |\n| --- | --- | --- | --- | --- |\n")
		inherited := map[string]bool{}
		if base := r.Group(g.Extends); base != nil { // has a table of its own
			for _, a := range base.Attributes {
				inherited[a.ID] = true
			}
		}
		for _, a := range g.Attributes {
			if !inherited[a.ID] {
				fmt.Fprintf(&out, "| `%s` | %s | %s | %s | %s |\n", a.ID, a.Type.Name, requirement(a), cell(a.Brief, a.Note, values(a)), examples(a))
			}
		}
		out.WriteString("<!-- endsemconv -->")
		return out.Bytes()
	}), fault
}

func requirement(a *registry.Attribute) string {
	switch a.Requirement.Level {
	case "required":
		return "Required"
	case "conditionally_required":
		condition := a.Requirement.Condition
		if a.Annotations.Otherwise == "opt_in" {
			condition += " Otherwise opt-in"
		}
		return strings.Join(strings.Fields(condition), " ")
	case "opt_in":
		return "Opt-in"
	}
	return "Recommended"
}

// values lists the values of an enumeration that describes them.
func values(a *registry.Attribute) string {
	var described []string
	for _, m := range a.Type.Members {
		if m.Brief != "" {
			described = append(described, fmt.Sprintf("`%s`: %s", m.Value, strings.TrimSpace(m.Brief)))
		}
	}
	return strings.Join(described, " ")
}

func examples(a *registry.Attribute) string {
	var all []string
	for _, example := range a.Examples {
		all = append(all, fmt.Sprintf("`%v`", example))
	}
	return strings.Join(all, ", ")
}

// cell joins sentences into one line.
func cell(sentences ...string) string {
	return strings.Join(strings.Fields(strings.Join(sentences, " ")), " ")
}
