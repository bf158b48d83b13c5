// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	folder := flag.String("out", "../../deploy/grafana", "folder to write the dashboards to")
	flag.Parse()
	plugins.RegisterDefaultPlugins()
	for name, builder := range map[string]*dashboard.DashboardBuilder{
		"services.json": services(),
		"options.json":  options(),
		"receiver.json": receiver(),
	} {
		if err := write(filepath.Join(*folder, name), builder); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// write writes a dashboard that Grafana's own types decode strictly: without unknown
// fields, and with all that are required.
func write(path string, builder *dashboard.DashboardBuilder) error {
	built, err := builder.Build()
	if err != nil {
		return fmt.Errorf("build %s: %w", path, err)
	}
	var content bytes.Buffer
	encoder := json.NewEncoder(&content)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(built); err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	// The library returns its list of errors also when it is empty.
	err = new(dashboard.Dashboard).UnmarshalJSONStrict(content.Bytes())
	if list := (cog.BuildErrors{}); err != nil && (!errors.As(err, &list) || len(list) > 0) {
		return fmt.Errorf("decode %s: %w", path, err)
	}
	return os.WriteFile(path, content.Bytes(), 0o644)
}
