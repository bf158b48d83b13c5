// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/semconv"
	"github.com/getsockopt/getsockoptreceiver/internal/semconv/registry"
	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
	"github.com/getsockopt/getsockoptreceiver/internal/traces"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
	check "github.com/getsockopt/getsockoptreceiver/test/internal/registry"
)

func load(t *testing.T) *registry.Registry {
	t.Helper()
	r, err := check.Load()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// own matches names under the receiver's own roots.
var own = regexp.MustCompile(`^(socket|syscall|tcp)(\.[a-z0-9_]+)+$`)

// isName reports whether a text is a name of the registry, or should be.
func isName(r *registry.Registry, text string) bool {
	return r.Attributes[text] != nil || r.Metrics()[text] != nil || own.MatchString(text)
}

// Names stand in internal/semconv and nowhere else.
func TestNoNamesAsLiterals(t *testing.T) {
	r := load(t)
	files := 0
	for _, folder := range []string{"internal", "receiver"} {
		err := filepath.WalkDir(filepath.Join(root(), folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
			if err != nil || ast.IsGenerated(file) {
				return err
			}
			files++
			ast.Inspect(file, func(n ast.Node) bool {
				literal, ok := n.(*ast.BasicLit)
				if !ok || literal.Kind != token.STRING {
					return true
				}
				if text, err := strconv.Unquote(literal.Value); err == nil && isName(r, text) {
					t.Errorf("%s: %s is a name: take the constant of internal/semconv", set.Position(literal.Pos()), literal.Value)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 50 {
		t.Errorf("looked at %d files", files)
	}
}

type metadata struct {
	Version         string `yaml:"sem_conv_version"`
	ExportedConfigs map[string]struct {
		Properties map[string]any `yaml:"properties"`
	} `yaml:"exported_configs"`
	ResourceAttributes map[string]struct {
		Type string `yaml:"type"`
	} `yaml:"resource_attributes"`
}

// Each setting that turns a name on or off is of a name, and the other way round.
func TestSettingsAreNames(t *testing.T) {
	r := load(t)
	b, err := os.ReadFile(filepath.Join(root(), "receiver/getsockoptreceiver/metadata.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var m metadata
	if err := yaml.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}

	settings, names := map[string]string{}, map[string]string{}
	for key, a := range m.ResourceAttributes {
		settings[key] = a.Type
	}
	for _, a := range r.Group(check.ResourceGroup).Attributes {
		names[a.ID] = a.Type.Name
	}
	if !maps.Equal(settings, names) {
		t.Errorf("resource_attributes are\n%v, model/ has\n%v", settings, names)
	}

	var optIn []string
	for _, a := range r.Group(check.SpanGroup).Attributes {
		if a.Annotations.Otherwise == "opt_in" {
			optIn = append(optIn, a.ID)
		}
	}
	slices.Sort(optIn)
	if got := slices.Sorted(maps.Keys(m.ExportedConfigs["span_attributes_config"].Properties)); !slices.Equal(got, optIn) {
		t.Errorf("span_attributes are\n%v, otherwise opt_in in model/ are\n%v", got, optIn)
	}

	metrics := slices.Sorted(maps.Keys(r.Metrics()))
	if got := slices.Sorted(maps.Keys(m.ExportedConfigs["metrics_config"].Properties)); !slices.Equal(got, metrics) {
		t.Errorf("metrics are %v, model/ has %v", got, metrics)
	}

	manifest, err := os.ReadFile(filepath.Join(root(), "model/manifest.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(manifest, []byte("https://opentelemetry.io/schemas/"+m.Version+"\n")) {
		t.Errorf("sem_conv_version %s is not what model/manifest.yaml depends on", m.Version)
	}
}

// The golden files of the builders hold what a user gets.
func TestGoldenFiles(t *testing.T) {
	r := load(t)
	golden(t, "internal/traces/testdata/*.json", func(b []byte) error {
		batch, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(b)
		if err != nil {
			return err
		}
		return check.CheckTraces(r, batch)
	})
	golden(t, "internal/metrics/testdata/*.json", func(b []byte) error {
		batch, err := (&pmetric.JSONUnmarshaler{}).UnmarshalMetrics(b)
		if err != nil {
			return err
		}
		return check.CheckMetrics(r, batch)
	})
}

func golden(t *testing.T, pattern string, check func([]byte) error) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root(), pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %v, %v", pattern, paths, err)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := check(b); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A span that leaves nothing out has every attribute of the registry, but for
// those that cannot be together.
func TestEveryAttributeIsEmitted(t *testing.T) {
	r := load(t)
	b := traces.New(traces.Options{
		ValuesEnabled: true, PendingErrorStatus: true, Expand: map[string]bool{"TCP_INFO": true},
		Always: traces.Always{
			LevelCode: true, Code: true, Value: true, ValueInt: true, Entry: true, Family: true, Type: true,
			Protocol: true, State: true, Cookie: true, NetworkNamespace: true,
		},
	})
	process := workload.FromProcess(&record.Process{
		Key: record.ProcessKey{PID: 1, Start: 1}, ParentPID: 1, NamespacePID: 1, PIDNamespace: 1, MountNamespace: 1, NetNamespace: 1,
		ExecutableName: "client",
		ExecutablePath: "/usr/bin/client",
		ContainerID:    "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970",
		PodUID:         "275ecb36-5aa8-4c2a-9c47-d8bb681b9aff",
		SystemdUnit:    "web.service",
		Environment:    []string{"OTEL_RESOURCE_ATTRIBUTES=service.namespace=shop,service.instance.id=7"},
	}, time.Unix(1, 0), "0::/docker/4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970", []record.NameFallback{record.FallbackExecutable})
	call := func(level, option int32, value ...byte) *record.Call {
		return &record.Call{
			Process:  record.ProcessKey{PID: 1, Start: 1},
			Flags:    record.FlagLengthIn | record.FlagLengthOut | record.FlagValue | record.FlagSocket,
			Level:    level,
			Option:   option,
			LengthIn: uint32(len(value)), LengthOut: uint32(len(value)),
			Comm:  []byte("client"),
			Value: value,
			Socket: record.Socket{
				Family: unix.AF_INET, Type: unix.SOCK_STREAM, Protocol: unix.IPPROTO_TCP, State: unix.BPF_TCP_ESTABLISHED, NetNS: 1, Cookie: 1,
				Local: record.Endpoint{Address: []byte{10, 0, 0, 1}, Port: 1},
				Peer:  record.Endpoint{Address: []byte{10, 0, 0, 2}, Port: 2},
			},
		}
	}
	info := make([]byte, 512)
	info[0] = 1 // tcpi_state
	for i := range 13 {
		c := call(1, 4, 111, 0, 0, 0)
		c.Flags |= record.FlagPendingError
		c.Error, c.Socket.State, c.Entry = 111, uint8(i+1), record.Entry(i%4)
		b.Add(c, process)
	}
	b.Add(call(6, 11, info...), process)
	b.Add(call(9999, 9999), process)
	batch := b.Take()
	if err := check.CheckTraces(r, batch); err != nil {
		t.Error(err)
	}

	emitted := map[string]bool{}
	rs := batch.ResourceSpans().At(0)
	for key := range rs.Resource().Attributes().All() {
		emitted[key] = true
	}
	for _, s := range rs.ScopeSpans().At(0).Spans().All() {
		for key := range s.Attributes().All() {
			emitted[key] = true
		}
	}
	for id := range r.Attributes {
		if !emitted[id] && id != semconv.OTelMetricOverflow { // of metrics alone
			t.Errorf("%s is in model/, and nothing emits it", id)
		}
	}
}

// A struct tcp_info is taken apart into what the registry has of it.
func TestTCPInfoMembersAreInTheRegistry(t *testing.T) {
	option, _ := sockopt.Lookup(unix.SOL_TCP, unix.TCP_INFO, sockopt.Where{})
	got := map[string]string{}
	for _, f := range sockopt.Expand(option, make([]byte, 512), 512) {
		got[f.Name] = "string"
		if f.HasInt {
			got[f.Name] = "int"
		}
	}
	want := map[string]string{}
	for _, a := range load(t).Group("attributes.tcp.info").Attributes {
		want[a.ID] = a.Type.Name
	}
	if !maps.Equal(got, want) {
		t.Errorf("TCP_INFO expands to\n%v, model/ has\n%v", got, want)
	}
}

var mention = regexp.MustCompile("`([^`\n]+)`|-> ([a-z0-9_.]+):")

// Documents and configurations mention no name that is not there.
func TestDocumentsMentionNames(t *testing.T) {
	r := load(t)
	mentioned := map[string]bool{}
	for _, pattern := range []string{"*.md", "docs/*.md", "receiver/getsockoptreceiver/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root(), pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v, %v", pattern, paths, err)
		}
		for _, path := range paths {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range mention.FindAllSubmatch(b, -1) {
				name := string(match[1]) + string(match[2])
				if isName(r, name) {
					mentioned[name] = true
					if r.Attributes[name] == nil && r.Metrics()[name] == nil {
						t.Errorf("%s mentions %s, which is not in model/", path, name)
					}
				}
			}
		}
	}
	for id := range r.Attributes {
		if !mentioned[id] {
			t.Errorf("no document mentions %s", id)
		}
	}
}

// Each span and metric has its table in the document, made by semconvgen.
func TestEachGroupHasATable(t *testing.T) {
	document, err := os.ReadFile(filepath.Join(root(), "docs/semantics.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range load(t).Groups {
		if g.Type != "span" && g.Type != "metric" {
			continue
		}
		if marker := "<!-- semconv " + g.ID + " -->"; !bytes.Contains(document, []byte(marker)) {
			t.Errorf("docs/semantics.md has no %s", marker)
		}
	}
}

func root() string { return check.Root() }
