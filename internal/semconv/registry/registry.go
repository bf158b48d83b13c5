// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	_ "embed" // for upstream.yaml
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Registry is all groups of the registry, and the attributes that they define or
// refer to.
type Registry struct {
	Groups     []*Group              // in the order of their files
	Attributes map[string]*Attribute // by id
}

// Group is a set of attributes: a namespace (attribute_group), or those of a
// span or a metric.
type Group struct {
	ID          string       `yaml:"id"`
	Type        string       `yaml:"type"`
	DisplayName string       `yaml:"display_name"`
	Brief       string       `yaml:"brief"`
	Note        string       `yaml:"note"`
	Stability   string       `yaml:"stability"`
	Extends     string       `yaml:"extends"`
	SpanKind    string       `yaml:"span_kind"`
	MetricName  string       `yaml:"metric_name"`
	Instrument  string       `yaml:"instrument"`
	Unit        string       `yaml:"unit"`
	Attributes  []*Attribute `yaml:"attributes"` // refs are resolved, and those of Extends included
}

// Attribute is an attribute of a group: a definition, or a reference.
type Attribute struct {
	ID          string      `yaml:"id"`
	Ref         string      `yaml:"ref"` // empty where the group defines it
	Type        Type        `yaml:"type"`
	Stability   string      `yaml:"stability"`
	Brief       string      `yaml:"brief"`
	Note        string      `yaml:"note"`
	Examples    []any       `yaml:"examples"`
	Requirement Requirement `yaml:"requirement_level"`
	Annotations struct {
		// Otherwise is opt_in where a setting puts the attribute on spans that
		// do not meet the condition of its requirement level.
		Otherwise string `yaml:"otherwise"`
	} `yaml:"annotations"`
}

// Type is the type of an attribute's value.
type Type struct {
	Name    string // string, int or boolean
	Members []Member
}

// Member is a value of an enumeration.
type Member struct {
	ID        string `yaml:"id"`
	Value     string `yaml:"value"`
	Brief     string `yaml:"brief"`
	Stability string `yaml:"stability"`
}

// UnmarshalYAML reads a name, or an enumeration of strings.
func (t *Type) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		return node.Decode(&t.Name)
	}
	var enumeration struct {
		Members []Member `yaml:"members"`
	}
	if err := node.Decode(&enumeration); err != nil {
		return err
	}
	t.Name, t.Members = "string", enumeration.Members
	return nil
}

// Requirement is a requirement level.
type Requirement struct {
	Level     string // required, conditionally_required, recommended or opt_in
	Condition string
}

// UnmarshalYAML reads a level, or a level with its condition.
func (r *Requirement) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		return node.Decode(&r.Level)
	}
	var levels map[string]string
	if err := node.Decode(&levels); err != nil {
		return err
	}
	for r.Level, r.Condition = range levels {
		r.Condition = strings.TrimSpace(r.Condition)
	}
	return nil
}

// upstream is the attributes of OpenTelemetry's registry that this one refers to, copied by
// semconvgen -upstream.
//
//go:embed upstream.yaml
var upstream []byte

// Upstream is the part of OpenTelemetry's registry that this one refers to.
type Upstream struct {
	SchemaURL  string       `yaml:"schema_url"`
	Attributes []*Attribute `yaml:"attributes"`
}

type manifest struct {
	Description  string `yaml:"description"`
	SchemaURL    string `yaml:"schema_url"`
	Stability    string `yaml:"stability"`
	Dependencies []struct {
		SchemaURL    string `yaml:"schema_url"`
		RegistryPath string `yaml:"registry_path"`
	} `yaml:"dependencies"`
}

// Load reads the registry of a folder. It returns an error with all faults of a registry
// that is not complete: a reference to nothing, an attribute without a type, stability,
// brief or example, an unknown key.
func Load(folder fs.FS) (*Registry, error) {
	var of manifest
	if err := decodeFile(folder, "manifest.yaml", &of); err != nil {
		return nil, err
	}
	var theirs Upstream
	if err := decode(upstream, &theirs); err != nil {
		return nil, fmt.Errorf("read upstream.yaml: %w", err)
	}
	if len(of.Dependencies) != 1 || of.Dependencies[0].SchemaURL != theirs.SchemaURL {
		return nil, fmt.Errorf("manifest.yaml depends on %v, upstream.yaml is of %s: copy it again with semconvgen -upstream",
			of.Dependencies, theirs.SchemaURL)
	}
	r, err := read(folder)
	if err != nil {
		return nil, err
	}
	for _, a := range theirs.Attributes {
		r.Attributes[a.ID] = a
	}
	return r, r.resolve()
}

// References returns the ids that the registry of a folder refers to and does
// not define.
func References(folder fs.FS) ([]string, error) {
	r, err := read(folder)
	if err != nil {
		return nil, err
	}
	missing := map[string]bool{}
	for _, g := range r.Groups {
		for _, a := range g.Attributes {
			if a.Ref != "" && r.Attributes[a.Ref] == nil {
				missing[a.Ref] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(missing)), nil
}

// read reads the groups, and the attributes that they define.
func read(folder fs.FS) (*Registry, error) {
	r := &Registry{Attributes: map[string]*Attribute{}}
	err := fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) != ".yaml" || name == "manifest.yaml" {
			return err
		}
		var file struct {
			Groups []*Group `yaml:"groups"`
		}
		if err := decodeFile(folder, name, &file); err != nil {
			return err
		}
		r.Groups = append(r.Groups, file.Groups...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, g := range r.Groups {
		for _, a := range g.Attributes {
			if a.ID == "" {
				continue
			}
			if r.Attributes[a.ID] != nil {
				return nil, fmt.Errorf("group %s: %s is defined twice", g.ID, a.ID)
			}
			r.Attributes[a.ID] = a
		}
	}
	return r, nil
}

// resolve completes references from the attributes that they refer to.
func (r *Registry) resolve() error {
	var faults []error
	for _, g := range r.Groups {
		for _, a := range g.Attributes {
			if a.Ref == "" {
				continue
			}
			of := r.Attributes[a.Ref]
			if of == nil {
				faults = append(faults, fmt.Errorf("group %s: no attribute %s", g.ID, a.Ref))
				continue
			}
			a.ID, a.Type, a.Stability = of.ID, of.Type, of.Stability
			if a.Note == "" && a.Brief == "" {
				a.Note = of.Note
			}
			if a.Brief == "" {
				a.Brief = of.Brief
			}
			if a.Examples == nil {
				a.Examples = of.Examples
			}
		}
	}
	for _, g := range r.Groups {
		faults = append(faults, g.check())
		if g.Extends == "" {
			continue
		}
		base := r.Group(g.Extends)
		if base == nil {
			faults = append(faults, fmt.Errorf("group %s extends %s, which does not exist", g.ID, g.Extends))
			continue
		}
		g.Attributes = append(g.Attributes, base.Attributes...)
	}
	return errors.Join(faults...)
}

func (g *Group) check() error {
	var faults []error
	report := func(what string) { faults = append(faults, fmt.Errorf("group %s: %s", g.ID, what)) }
	switch {
	case g.Brief == "":
		report("no brief")
	case g.Type == "span" && (g.SpanKind == "" || g.Stability == ""):
		report("a span without kind or stability")
	case g.Type == "metric" && (g.MetricName == "" || g.Instrument == "" || g.Unit == "" || g.Stability == ""):
		report("a metric without name, instrument, unit or stability")
	case g.Type != "span" && g.Type != "metric" && g.Type != "attribute_group":
		report("type " + g.Type)
	}
	for _, a := range g.Attributes {
		// OpenTelemetry's registries have no requirement levels where an
		// attribute is defined, and this one has them everywhere else.
		defined, level := a.Ref == "", a.Requirement.Level
		conditional := level == "conditionally_required"
		switch {
		case !slices.Contains([]string{"string", "int", "boolean"}, a.Type.Name):
			report(a.ID + " has the type " + a.Type.Name)
		case a.Stability == "" || a.Brief == "" || len(a.Examples) == 0 && a.Type.Name != "boolean":
			report(a.ID + " has no stability, brief or example")
		case defined != (level == ""):
			report(a.ID + " has a requirement level where it is defined, or none where it is used")
		case !defined && !conditional && level != "required" && level != "recommended" && level != "opt_in",
			conditional != (a.Requirement.Condition != ""):
			report(a.ID + " has the requirement level " + level)
		}
		for _, example := range a.Examples {
			if fmt.Sprintf("%T", example) != map[string]string{"string": "string", "int": "int", "boolean": "bool"}[a.Type.Name] {
				report(fmt.Sprintf("%s has the example %v", a.ID, example))
			}
		}
	}
	return errors.Join(faults...)
}

// Group returns the group with an id, nil if there is none.
func (r *Registry) Group(id string) *Group {
	for _, g := range r.Groups {
		if g.ID == id {
			return g
		}
	}
	return nil
}

// Metrics returns the metrics by their names.
func (r *Registry) Metrics() map[string]*Group {
	metrics := map[string]*Group{}
	for _, g := range r.Groups {
		if g.Type == "metric" {
			metrics[g.MetricName] = g
		}
	}
	return metrics
}

// Attribute returns an attribute of the group, nil if it has none of that id.
func (g *Group) Attribute(id string) *Attribute {
	for _, a := range g.Attributes {
		if a.ID == id {
			return a
		}
	}
	return nil
}

func decodeFile(folder fs.FS, name string, to any) error {
	b, err := fs.ReadFile(folder, name)
	if err == nil {
		err = decode(b, to)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

func decode(b []byte, to any) error {
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	return d.Decode(to)
}
