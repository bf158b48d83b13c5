// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/getsockopt/getsockoptreceiver/internal/semconv/registry"
)

// copyUpstream writes the types of the attributes that the registry refers to, from the
// model folder of OpenTelemetry's semantic conventions. It copies no descriptions, because
// documents describe what the receiver writes.
func copyUpstream(model, to string) error {
	wanted, err := registry.References(os.DirFS(filepath.Join(root, "model")))
	if err != nil {
		return err
	}
	var manifest struct {
		SchemaURL string `yaml:"schema_url"`
	}
	if err := decode(os.DirFS(model), "manifest.yaml", &manifest); err != nil {
		return err
	}
	type attribute struct {
		ID        string    `yaml:"id"`
		Type      yaml.Node `yaml:"type"`
		Stability string    `yaml:"stability"`
	}
	found := map[string]attribute{}
	err = fs.WalkDir(os.DirFS(model), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Base(name) != "registry.yaml" {
			return err
		}
		var file struct {
			Groups []struct {
				Attributes []attribute `yaml:"attributes"`
			} `yaml:"groups"`
		}
		if err := decode(os.DirFS(model), name, &file); err != nil {
			return err
		}
		for _, g := range file.Groups {
			for _, a := range g.Attributes {
				if slices.Contains(wanted, a.ID) {
					found[a.ID] = a
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# SPDX-License-Identifier: Apache-2.0\n#\n# Copied from OpenTelemetry's semantic conventions by semconvgen -upstream.\nschema_url: %s\nattributes:\n", manifest.SchemaURL)
	for _, id := range wanted {
		a, known := found[id]
		if !known {
			return fmt.Errorf("%s has no attribute %s, which model/ refers to", model, id)
		}
		fmt.Fprintf(&out, "  - id: %s\n", id)
		if a.Type.Kind == yaml.ScalarNode {
			fmt.Fprintf(&out, "    type: %s\n", a.Type.Value)
		} else {
			var enumeration struct {
				Members []registry.Member `yaml:"members"`
			}
			// Members have more keys than a registry.Member.
			if err := a.Type.Decode(&enumeration); err != nil {
				return fmt.Errorf("type of %s: %w", id, err)
			}
			fmt.Fprintf(&out, "    type:\n      members:\n")
			for _, m := range enumeration.Members {
				fmt.Fprintf(&out, "        - {id: %s, value: %q, stability: %s}\n", m.ID, m.Value, m.Stability)
			}
		}
		fmt.Fprintf(&out, "    stability: %s\n", a.Stability)
	}
	return os.WriteFile(to, out.Bytes(), 0o644)
}

func decode(folder fs.FS, name string, to any) error {
	b, err := fs.ReadFile(folder, name)
	if err == nil {
		err = yaml.Unmarshal(b, to)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}
