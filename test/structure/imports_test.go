// SPDX-License-Identifier: Apache-2.0

package structure

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/getsockopt/getsockoptreceiver/"
)

// arrows are all the imports of one package of the module by another that are
// allowed, tests aside. docs/architecture.md has the reasons.
var arrows = map[string][]string{
	"bpf":                     nil,
	"internal/goruntime":      nil,
	"internal/histogram":      nil,
	"internal/semconv":        nil,
	"internal/record":         {"bpf", "internal/semconv"},
	"internal/sockopt":        nil,
	"internal/tlsvariable":    nil,
	"internal/workload":       {"internal/record", "internal/semconv", "internal/shares"},
	"internal/sampling":       {"internal/shares"},
	"internal/shares":         nil,
	"internal/selection":      {"internal/sockopt"},
	"internal/processcontext": {"internal/workload"},
	"internal/publisher":      {"internal/goruntime", "internal/processcontext", "internal/record", "internal/shares", "internal/tlsvariable", "internal/workload"},
	"internal/probe":          {"bpf", "internal/histogram", "internal/publisher", "internal/record", "internal/sampling", "internal/selection", "internal/shares", "internal/sockopt"},
	"internal/pdatautil":      {"internal/workload"},
	"internal/traces":         {"internal/pdatautil", "internal/record", "internal/semconv", "internal/sockopt", "internal/workload"},
	"internal/metrics":        {"internal/histogram", "internal/pdatautil", "internal/record", "internal/semconv", "internal/sockopt", "internal/workload"},
	"receiver/getsockoptreceiver/internal/metadata": nil,
	"receiver/getsockoptreceiver": {
		"internal/metrics", "internal/probe", "internal/publisher", "internal/record", "internal/selection", "internal/semconv",
		"internal/sockopt", "internal/traces", "internal/workload", "receiver/getsockoptreceiver/internal/metadata",
	},
	"receiver/getsockoptreceiver/internal/metadatatest": {"receiver/getsockoptreceiver/internal/metadata"},
	// A program that writes internal/sockopt's table.
	"internal/sockopt/sockoptgen": {"internal/sockopt"},
	// A reader of model/, and the program that makes internal/semconv out of it.
	"internal/semconv/registry":   nil,
	"internal/semconv/semconvgen": {"internal/semconv/registry"},
	// A part of the distributions that the receiver does not know.
	"extension/sdnotifyextension": nil,
}

// reserved are packages of other modules, by the beginning of their paths,
// which only these packages may import, tests aside.
var reserved = map[string][]string{
	// Who touches the kernel.
	"github.com/cilium/ebpf": {"bpf", "internal/probe"},
	// Who knows OpenTelemetry's data.
	"go.opentelemetry.io/collector/pdata": {
		"internal/pdatautil", "internal/traces", "internal/metrics", "receiver/getsockoptreceiver", "receiver/getsockoptreceiver/internal/metadata", "receiver/getsockoptreceiver/internal/metadatatest",
	},
	// Who knows the Collector.
	"go.opentelemetry.io/collector/": {
		"internal/pdatautil", "internal/traces", "internal/metrics", "receiver/getsockoptreceiver", "receiver/getsockoptreceiver/internal/metadata", "receiver/getsockoptreceiver/internal/metadatatest",
		"extension/sdnotifyextension",
	},
	"go.opentelemetry.io/otel": {"receiver/getsockoptreceiver", "receiver/getsockoptreceiver/internal/metadata", "receiver/getsockoptreceiver/internal/metadatatest"},
}

// selfContained are packages that import nothing but the standard library and the
// module's own.
var selfContained = []string{
	"internal/goruntime", "internal/histogram", "internal/record", "internal/sampling", "internal/selection", "internal/semconv", "internal/shares", "internal/sockopt",
	"internal/tlsvariable", "internal/workload",
}

// pure are those of them that need no privileges, kernel, files or network: what
// they return depends on their arguments alone.
var pure = []string{
	"internal/goruntime", "internal/histogram", "internal/record", "internal/sampling", "internal/selection", "internal/shares", "internal/sockopt", "internal/tlsvariable",
}

// impure are the packages of the standard library by which one touches the world.
// Of time, which has durations too, only review can judge.
var impure = []string{"os", "os/exec", "io/ioutil", "net", "net/http", "log"}

type goPackage struct {
	ImportPath string
	Imports    []string
}

// packages lists the module's packages with what they import for each of the
// architectures.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	imports := map[string]map[string]bool{}
	for _, architecture := range []string{"amd64", "arm64"} {
		cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
		cmd.Dir = root
		cmd.Env = append(cmd.Environ(), "GOOS=linux", "GOARCH="+architecture, "CGO_ENABLED=0")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		output, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list: %v\n%s", err, &stderr)
		}
		for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
			var p goPackage
			err := decoder.Decode(&p)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			name := strings.TrimPrefix(p.ImportPath, module)
			if imports[name] == nil {
				imports[name] = map[string]bool{}
			}
			for _, i := range p.Imports {
				imports[name][i] = true
			}
		}
	}
	all := map[string][]string{}
	for name, of := range imports {
		all[name] = slices.Sorted(maps.Keys(of))
	}
	return all
}

func TestImportsGoOneWay(t *testing.T) {
	for name, imports := range packages(t) {
		if strings.HasPrefix(name, "test/") {
			continue
		}
		allowed, known := arrows[name]
		if !known {
			t.Errorf("%s is a new package: list in arrows what it may import", name)
		}
		for _, i := range imports {
			if own, found := strings.CutPrefix(i, module); found && !slices.Contains(allowed, own) {
				t.Errorf("%s must not import %s", name, own)
			}
			for path, who := range reserved {
				if beginsWith(i, path) && !slices.Contains(who, name) {
					t.Errorf("%s must not import %s: only %s may", name, i, strings.Join(who, ", "))
				}
			}
			// The standard library's paths have no dot in their first part.
			first, _, _ := strings.Cut(i, "/")
			if slices.Contains(selfContained, name) && strings.Contains(first, ".") && !strings.HasPrefix(i, module) {
				t.Errorf("%s must not import %s: it needs nothing but the standard library", name, i)
			}
			if slices.Contains(pure, name) && slices.Contains(impure, i) {
				t.Errorf("%s must not import %s: it is pure", name, i)
			}
		}
	}
}

// beginsWith reports whether an import path is that path or below it.
func beginsWith(path, prefix string) bool {
	rest, found := strings.CutPrefix(path, prefix)
	return found && (rest == "" || rest[0] == '/' || strings.HasSuffix(prefix, "/"))
}
