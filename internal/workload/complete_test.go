// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// procfs lays out what Complete reads of one process.
func procfs(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "4711")
	if err := os.MkdirAll(filepath.Join(dir, "ns"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		var err error
		if name == "exe" || name == "ns/pid" {
			err = os.Symlink(content, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func lost() *record.Process {
	return &record.Process{
		Key:             record.ProcessKey{Start: 123_456_789_012, PID: 4711},
		NamespacePID:    7,
		PIDNamespace:    4026532001,
		ExecutableName:  "shop",
		EnvironmentLost: true,
	}
}

const stat = "4711 (a) b ) S 1 4711 4711 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 1 0 12345 1000 200 18446744073709551615\n"

// good is what Complete reads of the process of lost.
var good = map[string]string{
	"environ": "PATH=/bin\x00OTEL_SERVICE_NAME=shop\x00SECRET=1\x00OTEL_X\x00OTEL_RESOURCE_ATTRIBUTES=a=b\x00",
	"stat":    stat,
	"status":  "Name:\tshop\nNSpid:\t4711\t7\nThreads:\t1\n",
	"exe":     "/usr/bin/shop",
	"ns/pid":  "pid:[4026532001]",
}

func TestCompleteFromProcfs(t *testing.T) {
	with := func(name, content string) map[string]string {
		files := map[string]string{}
		for k, v := range good {
			files[k] = v
		}
		if content == "" {
			delete(files, name)
		} else {
			files[name] = content
		}
		return files
	}
	want := []string{"OTEL_SERVICE_NAME=shop", "OTEL_RESOURCE_ATTRIBUTES=a=b"}

	for name, files := range map[string]map[string]string{
		"as it was":          good,
		"executable deleted": with("exe", "/usr/bin/shop (deleted)"),
		"moved":              with("exe", "/mnt/usr/bin/shop"),
		"mounted nowhere":    with("exe", "/"),
		"with empty strings": with("environ", "PATH=/bin\x00\x00\x00A=b\x00OTEL_SERVICE_NAME=shop\x00OTEL_RESOURCE_ATTRIBUTES=a=b\x00"),
		"twice":              with("environ", good["environ"]+good["environ"]),
		"many":               with("environ", strings.Repeat("SERVICE_PORT_80_TCP_ADDR=10.96.0.1\x00", 100_000)+good["environ"]),
	} {
		t.Run(name, func(t *testing.T) {
			p := lost()
			if err := NewProcfs(procfs(t, files)).Complete(p); err != nil {
				t.Error(err)
			}
			if !reflect.DeepEqual(p.Environment, want) || p.EnvironmentLost || p.AttributesCut {
				t.Errorf("got %+v, want the environment %q", p, want)
			}
		})
	}

	for name, test := range map[string]struct {
		files map[string]string
		want  error
	}{
		"gone":              {with("environ", ""), fs.ErrNotExist},
		"no stat":           {with("stat", ""), fs.ErrNotExist},
		"no status":         {with("status", ""), fs.ErrNotExist},
		"no exe":            {with("exe", ""), fs.ErrNotExist},
		"no namespace":      {with("ns/pid", ""), fs.ErrNotExist},
		"pid reused":        {with("stat", strings.Replace(stat, "12345", "12346", 1)), errOther},
		"short stat":        {with("stat", "4711 (a) S 1"), io.ErrUnexpectedEOF},
		"other pid":         {with("status", "NSpid:\t4711\t8\n"), errOther},
		"no NSpid":          {with("status", "Name:\tshop\n"), nil},
		"bad NSpid":         {with("status", "NSpid:\tx\n"), nil},
		"other namespace":   {with("ns/pid", "pid:[4026531836]"), errOther},
		"other program now": {with("exe", "/usr/bin/python3"), errOther},
		"other ending":      {with("exe", "/usr/bin/workshop"), errOther},
		"too large":         {with("environ", "X="+strings.Repeat("x", environMax)), errTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			p := lost()
			err := NewProcfs(procfs(t, test.files)).Complete(p)
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if !reflect.DeepEqual(p, lost()) {
				t.Errorf("changed to %+v", p)
			}
		})
	}
}

func TestCompleteOnlyWhatIsLost(t *testing.T) {
	p := lost()
	p.EnvironmentLost = false
	if err := NewProcfs("/nowhere").Complete(p); err != nil {
		t.Error(err)
	}
}

func TestCompleteOfExitingProcessFails(t *testing.T) {
	root := procfs(t, map[string]string{"environ": ""})
	if err := NewProcfs(root).Complete(lost()); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
}

// What was written over the environment is not taken for a variable, nor is
// what may be the rest of one.
func TestVariablesInOverwrittenEnvironments(t *testing.T) {
	const attributes = "OTEL_RESOURCE_ATTRIBUTES=x="
	long := strings.Repeat("x", 2*stringMax)
	for name, test := range map[string]struct {
		environment      string
		want             []string
		cut, overwritten bool
	}{
		"one":                   {"OTEL_SERVICE_NAME=a\x00", []string{"OTEL_SERVICE_NAME=a"}, false, false},
		"no NUL at its end":     {"A=b\x00OTEL_SERVICE_NAME=a", []string{"OTEL_SERVICE_NAME=a"}, false, false},
		"first of a name":       {"OTEL_SERVICE_NAME=a\x00OTEL_SERVICE_NAME=b\x00", []string{"OTEL_SERVICE_NAME=a"}, false, false},
		"others":                {"OTEL_SERVICE_NAMES=a\x00OTEL_X=b\x00SECRET=c\x00", nil, false, false},
		"one that is none":      {"A\x00OTEL_SERVICE_NAME=a\x00", []string{"OTEL_SERVICE_NAME=a"}, false, false},
		"cut name":              {"OTEL_SERVICE_NAME=" + long + "\x00", []string{"OTEL_SERVICE_NAME=" + long[:nameMax]}, true, false},
		"cut":                   {attributes + "x,y=" + long + "\x00", []string{attributes + "x"}, true, false},
		"cut, without a pair":   {attributes + long + "\x00", []string{"OTEL_RESOURCE_ATTRIBUTES="}, true, false},
		"another that is long":  {"A=" + long + "\x00OTEL_SERVICE_NAME=a\x00", []string{"OTEL_SERVICE_NAME=a"}, false, false},
		"as long as is kept":    {(attributes + long)[:stringMax] + "\x00", []string{(attributes + long)[:stringMax]}, false, false},
		"title and NULs":        {"ker process\x00\x00\x00\x00\x00", nil, false, true},
		"NULs":                  {strings.Repeat("\x00", 5000), nil, false, true},
		"blanks":                {strings.Repeat(" ", 5000), nil, false, true},
		"rest of a variable":    {"\x00\x00\x00OTEL_SERVICE_NAME=a\x00B=c\x00", nil, false, true},
		"variable after a rest": {"\x00\x00\x00=a\x00OTEL_SERVICE_NAME=a\x00", []string{"OTEL_SERVICE_NAME=a"}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			kept, cut, overwritten := variablesIn([]byte(test.environment))
			if !slices.Equal(kept, test.want) || cut != test.cut || overwritten != test.overwritten {
				t.Errorf("got %q, cut %t, overwritten %t, want %q, %t, %t", kept, cut, overwritten, test.want, test.cut, test.overwritten)
			}
		})
	}
}

// Spans and metrics together read a process once, and count it once: the result of the
// first is valid for the other when the process has exited.
func TestSpansAndMetricsShareOneAnswer(t *testing.T) {
	root := procfs(t, map[string]string{
		"environ": "OTEL_SERVICE_NAME=shop\x00OTEL_RESOURCE_ATTRIBUTES=" + strings.Repeat("x", stringMax) + "\x00",
		"stat":    stat,
		"status":  "NSpid:\t4711\t7\n",
		"exe":     "/usr/bin/shop",
		"ns/pid":  "pid:[4026532001]",
	})
	f := NewProcfs(root)
	p := lost()
	if err := f.Complete(p); err != nil {
		t.Errorf("error %v, %+v", err, p)
	}
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	group := record.Group{ID: 1, Origin: record.OriginExecutable | record.OriginEnvironmentUnavailable | record.OriginService, Name: "sh", Process: p.Key}
	if r := NewGroups(f, time.Now).Resource(group); find(r, serviceName) != "shop" {
		t.Errorf("metrics: got service %q, want shop", find(r, serviceName))
	}
	if got, want := f.Incomplete(), (Incomplete{VariableCut: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	// One that is gone has the same name twice, too.
	gone := lost()
	gone.Key.Start++
	if err := f.Complete(gone); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	group.ID, group.Process = 2, gone.Key
	if r := NewGroups(f, time.Now).Resource(group); find(r, serviceName) != "sh" {
		t.Errorf("metrics: got service %q, want sh", find(r, serviceName))
	}
	if got, want := f.Incomplete(), (Incomplete{VariableCut: 1, EnvironmentUnavailable: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Only so many are remembered.
func TestEnvironmentsAreBounded(t *testing.T) {
	f := NewProcfs("/nowhere")
	for start := range uint64(2 * environmentsMax) {
		_ = f.Complete(&record.Process{Key: record.ProcessKey{Start: start}, EnvironmentLost: true})
	}
	if len(f.environments) != environmentsMax || len(f.asked) != environmentsMax {
		t.Errorf("%d environments, %d keys, want %d", len(f.environments), len(f.asked), environmentsMax)
	}
}

func TestCgroupLine(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "self"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "self", "cgroup")
	write := func(content string) {
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f := NewProcfs(root)
	line := func(hierarchy uint32, path string) string {
		return f.CgroupLine(&record.Process{CgroupHierarchy: hierarchy, CgroupPath: path})
	}
	if got := line(0, "/a:b"); got != "0::/a:b" {
		t.Errorf("v2 needs no file: %q", got)
	}
	if got := line(1, "/a") + line(record.NoHierarchy, "/"); got != "" {
		t.Errorf("without a file: got %q, want none", got)
	}
	write("4:cpu,cpuacct:/x\n1:name=systemd:/y:z\n")
	for _, test := range []struct {
		hierarchy  uint32
		path, want string
	}{
		{1, "/user.slice", "1:name=systemd:/user.slice"},
		{4, "/docker/a", "4:cpu,cpuacct:/docker/a"},
		{4, "", ""},
		{5, "/a", ""},
		{record.NoHierarchy, "/", ""}, // no v2 here
	} {
		t.Run(fmt.Sprintf("hierarchy %d, path %q", test.hierarchy, test.path), func(t *testing.T) {
			if got := line(test.hierarchy, test.path); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	write("5:pids:/\n4:cpu,cpuacct:/x\n0::/\n") // mounted since
	if got := line(5, "/a") + line(record.NoHierarchy, "/"); got != "5:pids:/a"+"0::/" {
		t.Errorf("after a mount: got %q, want the new line", got)
	}
}

// The formats are those of a real kernel: this test's own process is found.
func TestCompleteReadsThisKernelsFormats(t *testing.T) {
	pid := os.Getpid()
	dir := fmt.Sprintf("/proc/%d", pid)
	start, err := startTicks(dir)
	if err != nil {
		t.Fatal(err)
	}
	vpid, err := namespacePID(dir)
	if err != nil {
		t.Fatal(err)
	}
	link, err := os.Readlink(dir + "/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	var namespace uint32
	if _, err := fmt.Sscanf(link, "pid:[%d]", &namespace); err != nil {
		t.Fatal(err)
	}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &record.Process{
		Key:             record.ProcessKey{Start: start*tick + tick/2, PID: uint32(pid)},
		NamespacePID:    vpid,
		PIDNamespace:    namespace,
		ExecutableName:  filepath.Base(executable),
		EnvironmentLost: true,
	}
	if err := NewProcfs("/proc").Complete(p); err != nil {
		t.Fatal(err)
	}
	if p.EnvironmentLost {
		t.Error("still lost")
	}
}
