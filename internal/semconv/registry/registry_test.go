// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"strings"
	"testing"
	"testing/fstest"
)

const manifestText = `
schema_url: https://example.com/schemas/0.1.0
dependencies:
  - schema_url: https://opentelemetry.io/schemas/1.44.0
    registry_path: https://example.com
`

const attributesText = `
groups:
  - id: registry.a
    type: attribute_group
    brief: A.
    attributes:
      - id: a.number
        type: int
        stability: development
        brief: A number.
        examples: [1]
      - id: a.kind
        type:
          members:
            - {id: one, value: "ONE", stability: development}
        stability: development
        brief: A kind.
        note: Of which there is one.
        examples: ["ONE"]
`

const spanText = `
  - id: span.a
    type: span
    stability: development
    span_kind: internal
    brief: A span.
    extends: attributes.a
    attributes:
      - ref: error.type
        requirement_level: required
        brief: An error.
        examples: ["EIO"]
  - id: attributes.a
    type: attribute_group
    brief: More.
    attributes:
      - ref: a.kind
        requirement_level:
          conditionally_required: If it has one.
`

func folder(groups string) fstest.MapFS {
	return fstest.MapFS{
		"manifest.yaml":   {Data: []byte(manifestText)},
		"a/registry.yaml": {Data: []byte(groups)},
	}
}

func TestLoad(t *testing.T) {
	r, err := Load(folder(attributesText + spanText))
	if err != nil {
		t.Fatal(err)
	}
	span := r.Group("span.a")
	if a := span.Attribute("error.type"); a == nil || a.Type.Name != "string" || a.Stability != "stable" || a.Brief != "An error." {
		t.Errorf("an attribute of OpenTelemetry's: got %+v, want a stable string", a)
	}
	kind := span.Attribute("a.kind")
	if kind == nil || len(kind.Type.Members) != 1 || kind.Brief != "A kind." || kind.Note != "Of which there is one." {
		t.Fatalf("an attribute of the group that it extends: %+v", kind)
	}
	if kind.Requirement != (Requirement{Level: "conditionally_required", Condition: "If it has one."}) {
		t.Errorf("got %+v, want conditionally_required with its condition", kind.Requirement)
	}
}

// A registry that is not complete is refused.
func TestLoadRefuses(t *testing.T) {
	whole := attributesText + spanText
	for name, test := range map[string]struct{ groups, want string }{
		"unknown key":          {whole + "    colour: red\n", "field colour not found"},
		"unknown reference":    {strings.Replace(whole, "ref: a.kind", "ref: a.sort", 1), "no attribute a.sort"},
		"unknown base":         {strings.Replace(whole, "extends: attributes.a", "extends: attributes.b", 1), "extends attributes.b"},
		"unknown type":         {strings.Replace(whole, "type: int", "type: integer", 1), "has the type integer"},
		"defined twice":        {strings.Replace(whole, "a.kind", "a.number", 1), "a.number is defined twice"},
		"no example":           {strings.Replace(whole, "        examples: [1]\n", "", 1), "a.number has no stability, brief or example"},
		"example of a type":    {strings.Replace(whole, "examples: [1]", "examples: [one]", 1), "a.number has the example one"},
		"no brief":             {strings.Replace(whole, "        brief: A number.\n", "", 1), "a.number has no stability, brief or example"},
		"no kind of span":      {strings.Replace(whole, "    span_kind: internal\n", "", 1), "a span without kind"},
		"no requirement level": {strings.Replace(whole, "        requirement_level: required\n", "", 1), "error.type has a requirement level"},
		"unknown level":        {strings.Replace(whole, "requirement_level: required", "requirement_level: must", 1), "requirement level must"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Load(folder(test.groups)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	other := folder(whole)
	other["manifest.yaml"].Data = []byte(strings.Replace(manifestText, "1.44.0", "1.43.0", 1))
	if _, err := Load(other); err == nil || !strings.Contains(err.Error(), "semconvgen -upstream") {
		t.Errorf("another version of OpenTelemetry's registry: %v", err)
	}
}
