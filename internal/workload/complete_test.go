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
	"strings"
	"testing"

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
		ExecutablePath:  "/usr/bin/shop",
		EnvironmentLost: true,
	}
}

const stat = "4711 (a) b ) S 1 4711 4711 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 1 0 12345 1000 200 18446744073709551615\n"

func TestComplete(t *testing.T) {
	good := map[string]string{
		"environ": "PATH=/bin\x00OTEL_SERVICE_NAME=shop\x00SECRET=1\x00OTEL_X\x00OTEL_RESOURCE_ATTRIBUTES=a=b\x00",
		"stat":    stat,
		"status":  "Name:\tshop\nNSpid:\t4711\t7\nThreads:\t1\n",
		"exe":     "/usr/bin/shop",
		"ns/pid":  "pid:[4026532001]",
	}
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
	} {
		p := lost()
		if err := Complete(procfs(t, files), p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(p.Environment, want) || p.EnvironmentLost || p.EnvironmentCut {
			t.Errorf("%s: %+v", name, p)
		}
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
	} {
		p := lost()
		err := Complete(procfs(t, test.files), p)
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", name, err, test.want)
		}
		if !reflect.DeepEqual(p, lost()) {
			t.Errorf("%s: changed to %+v", name, p)
		}
	}
}

func TestCompleteOnlyWhatIsLost(t *testing.T) {
	p := lost()
	p.EnvironmentLost = false
	if err := Complete("/nowhere", p); err != nil {
		t.Error(err)
	}
}

func TestCompleteExiting(t *testing.T) {
	root := procfs(t, map[string]string{"environ": ""})
	if err := Complete(root, lost()); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
}

func TestCompleteCut(t *testing.T) {
	root := procfs(t, map[string]string{
		"environ": "OTEL_SERVICE_NAME=shop\x00X=" + strings.Repeat("x", environMax),
		"stat":    stat,
		"status":  "NSpid:\t4711\t7\n",
		"exe":     "/usr/bin/shop",
		"ns/pid":  "pid:[4026532001]",
	})
	p := lost()
	if err := Complete(root, p); err != nil || !p.EnvironmentCut || len(p.Environment) != 1 {
		t.Errorf("error %v, %+v", err, p)
	}
}

// The formats are those of a real kernel: this test's own process is found.
func TestCompleteSelf(t *testing.T) {
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
		ExecutablePath:  executable,
		EnvironmentLost: true,
	}
	if err := Complete("/proc", p); err != nil {
		t.Fatal(err)
	}
	if p.EnvironmentLost {
		t.Error("still lost")
	}
}
