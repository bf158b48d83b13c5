// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/getsockopt/getsockoptreceiver/internal/semconv/registry"
)

const root = "../.."

func main() {
	upstream := flag.String("upstream", "", "copy what the registry refers to from this `folder`")
	flag.Parse()
	if err := run(*upstream); err != nil {
		fmt.Fprintln(os.Stderr, "semconvgen:", err)
		os.Exit(1)
	}
}

func run(upstream string) error {
	if upstream != "" {
		return copyUpstream(upstream, filepath.Join("registry", "upstream.yaml"))
	}
	r, err := registry.Load(os.DirFS(filepath.Join(root, "model")))
	if err != nil {
		return fmt.Errorf("read the registry in model/: %w", err)
	}
	source, err := constants(r)
	if err != nil {
		return err
	}
	if err := os.WriteFile("semconv_generated.go", source, 0o644); err != nil {
		return err
	}
	document := filepath.Join(root, "docs", "semantics.md")
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	text, err = tables(r, text)
	if err != nil {
		return fmt.Errorf("tables of %s: %w", document, err)
	}
	return os.WriteFile(document, text, 0o644)
}
