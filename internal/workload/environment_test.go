// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

func TestServiceAndAttributesFromEnvironment(t *testing.T) {
	for name, test := range map[string]struct {
		environment []string
		service     string
		attributes  map[string]string // in addition to service.name
	}{
		"nothing":                   {nil, "curl", nil},
		"service name":              {[]string{"OTEL_SERVICE_NAME=shop"}, "shop", nil},
		"service name taken as is":  {[]string{"OTEL_SERVICE_NAME= my%20shop+1 "}, " my%20shop+1 ", nil},
		"empty service name":        {[]string{"OTEL_SERVICE_NAME="}, "curl", nil},
		"service name over another": {[]string{"OTEL_RESOURCE_ATTRIBUTES=service.name=a", "OTEL_SERVICE_NAME=b"}, "b", nil},
		"first variable wins":       {[]string{"OTEL_SERVICE_NAME=a", "OTEL_SERVICE_NAME=b"}, "a", nil},
		"other OTEL_ variables":     {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://x"}, "curl", nil},
		"name that only begins so":  {[]string{"OTEL_SERVICE_NAME_X=a"}, "curl", nil},
		"attributes": {
			[]string{"OTEL_RESOURCE_ATTRIBUTES=service.name=cart, service.namespace = shop ,deployment.environment.name=prod,service.instance.id=7"},
			"cart",
			map[string]string{"service.namespace": "shop", "deployment.environment.name": "prod", "service.instance.id": "7"},
		},
		"decoded": {
			[]string{"OTEL_RESOURCE_ATTRIBUTES=service.name=a%20b%2Cc,x=%E2%82%AC+1%3D"},
			"a b,c",
			map[string]string{"x": "€+1="},
		},
		"equals sign in a value": {[]string{"OTEL_RESOURCE_ATTRIBUTES=x=a=b"}, "curl", map[string]string{"x": "a=b"}},
		"malformed escape":       {[]string{"OTEL_RESOURCE_ATTRIBUTES=x=100%,y=%zz"}, "curl", map[string]string{"x": "100%", "y": "%zz"}},
		"malformed pairs":        {[]string{"OTEL_RESOURCE_ATTRIBUTES=,=,=a,b,,x=1,"}, "curl", map[string]string{"x": "1"}},
		"last of equal keys": {
			[]string{"OTEL_RESOURCE_ATTRIBUTES=x=1,service.name=a,x=2,service.name=b"},
			"b",
			map[string]string{"x": "2"},
		},
		"empty name after another": {[]string{"OTEL_RESOURCE_ATTRIBUTES=service.name=a,service.name="}, "a", nil},
		"blank name":               {[]string{"OTEL_RESOURCE_ATTRIBUTES=service.name=%20 "}, " ", nil},
		"of the cgroups":           {[]string{"OTEL_RESOURCE_ATTRIBUTES=k8s.pod.uid=u,systemd.unit.name=x.service,k8s.pod.name=p"}, "curl", map[string]string{"k8s.pod.name": "p"}},
		"name of white space":      {[]string{"OTEL_RESOURCE_ATTRIBUTES=service.name= \t "}, "curl", nil},
		"owned": {
			[]string{"OTEL_RESOURCE_ATTRIBUTES=process.pid=1,process=1,container.id=x,host.name=h,socket.fd=1,syscall.x=1,tcp.info.x=1,otel.scope.name=s,telemetry.sdk.name=x,hostess=1"},
			"curl",
			map[string]string{"hostess": "1"},
		},
		"not UTF-8": {
			[]string{"OTEL_SERVICE_NAME=a\xffb", "OTEL_RESOURCE_ATTRIBUTES=k\xfe=%ff\x80€"},
			`a\xffb`,
			map[string]string{`k\xfe`: `\xff\x80€`},
		},
		"long name": {[]string{"OTEL_SERVICE_NAME=" + strings.Repeat("x", 300)}, strings.Repeat("x", 255), nil},
		"long name cut in a character": {
			[]string{"OTEL_SERVICE_NAME=x" + strings.Repeat("é", 200)}, "x" + strings.Repeat("é", 127), nil,
		},
		"long name cut before a character": {
			[]string{"OTEL_SERVICE_NAME=" + strings.Repeat("é", 200)}, strings.Repeat("é", 127), nil,
		},
		"long name cut in an escape": {
			[]string{"OTEL_RESOURCE_ATTRIBUTES=service.name=" + strings.Repeat("x", 254) + "%20"}, strings.Repeat("x", 254), nil,
		},
		"long namespace": {
			[]string{"OTEL_RESOURCE_ATTRIBUTES=service.namespace=" + strings.Repeat("n", 126) + "%20"},
			"curl",
			map[string]string{"service.namespace": strings.Repeat("n", 126)},
		},
		"cut by the kernel": {
			[]string{"OTEL_RESOURCE_ATTRIBUTES=a=1,x=" + strings.Repeat("y", 5000)[:4095-len("OTEL_RESOURCE_ATTRIBUTES=a=1,x=")]},
			"curl",
			map[string]string{"a": "1"},
		},
		"cut by the kernel in the name": {
			[]string{("OTEL_RESOURCE_ATTRIBUTES=service.name=whole,a=" + strings.Repeat("y", 4095))[:4095-len(",service.name=ha")] + ",service.name=ha"},
			"whole",
			map[string]string{"a": strings.Repeat("y", 4095-len("OTEL_RESOURCE_ATTRIBUTES=service.name=whole,a=,service.name=ha"))},
		},
		"as long as is kept": {
			[]string{"OTEL_RESOURCE_ATTRIBUTES=x=" + strings.Repeat("y", 4095-len("OTEL_RESOURCE_ATTRIBUTES=x="))},
			"curl",
			map[string]string{"x": strings.Repeat("y", 4095-len("OTEL_RESOURCE_ATTRIBUTES=x="))},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &record.Process{
				ExecutableName: "curl", ExecutablePath: "/usr/bin/curl",
				Environment: test.environment, AttributesCut: strings.HasPrefix(name, "cut by the kernel"),
			}
			r := FromProcess(p, time.Time{}, "", byExecutable)
			if find(r, serviceName) != test.service {
				t.Errorf("service %q, want %q", find(r, serviceName), test.service)
			}
			want := map[string]string{
				"service.name":            test.service,
				"process.executable.name": "curl",
				"process.executable.path": "/usr/bin/curl",
			}
			maps.Copy(want, test.attributes)
			maps.DeleteFunc(want, func(_, value string) bool { return value == "" })
			for _, a := range r.Attributes {
				if a.IsInt {
					continue
				}
				if a.Str != want[a.Key] {
					t.Errorf("%s = %q, want %q", a.Key, a.Str, want[a.Key])
				}
				delete(want, a.Key)
			}
			if len(want) > 0 {
				t.Errorf("missing %v", want)
			}
			agree(t, p)
		})
	}
}

// agree checks that a process and the group that its calls are counted under
// are one service.
func agree(t *testing.T, p *record.Process) {
	t.Helper()
	r, g := FromProcess(p, time.Time{}, "", byExecutable), fromGroup(kernelGroup(p))
	if find(r, serviceName) != find(g, serviceName) {
		t.Errorf("spans have service %q, metrics %q", find(r, serviceName), find(g, serviceName))
	}
	of := kernelGroup(p)
	of.Origin |= record.OriginService | record.OriginContainer
	if named := NewGroups(NewProcfs("/proc"), time.Now).Name(r, of); !reflect.DeepEqual(named, r) {
		t.Errorf("with the names of its group the process is\n%+v, without\n%+v", named, r)
	}
	for _, key := range []string{serviceNamespace, serviceInstanceID} {
		if a, b := find(r, key), find(g, key); a != b {
			t.Errorf("spans have %s %q, metrics %q", key, a, b)
		}
	}
}

func find(r *Resource, key string) string {
	for _, a := range r.Attributes {
		if a.Key == key {
			return a.Str
		}
	}
	return ""
}

func FuzzEnvironment(f *testing.F) {
	f.Add("shop", "service.name=a,x=1", "/usr/bin/curl")
	f.Add("", "service.name=%ff%4,service.namespace=%20,process.pid=1", "/a\xff")
	f.Add("", "service.name= ,service .name=x,\x00", "")
	f.Add("", "service.instance.id=a%20b,service.instance.id=,service.instance .id=c", "")
	f.Add(strings.Repeat("é", 200), strings.Repeat("service.name=%", 400), "/")
	f.Fuzz(func(t *testing.T, service, attributes, path string) {
		if strings.ContainsRune(service+attributes+path, 0) || len(attributes) > stringMax {
			return // the environment has no NUL in its variables, and the kernel keeps no longer ones
		}
		p := &record.Process{
			Key:            record.ProcessKey{PID: 4711},
			Comm:           "thread",
			ExecutableName: path,
			Environment:    []string{"OTEL_SERVICE_NAME=" + service, "OTEL_RESOURCE_ATTRIBUTES=" + attributes},
		}
		r := FromProcess(p, time.Time{}, "", byExecutable)
		if !slices.IsSortedFunc(r.Attributes, func(a, b Attribute) int { return strings.Compare(a.Key, b.Key) }) {
			t.Errorf("not sorted: %v", r.Attributes)
		}
		for i, a := range r.Attributes {
			if a.Key == "" || i > 0 && a.Key == r.Attributes[i-1].Key {
				t.Errorf("key %q is empty or given twice", a.Key)
			}
			if !utf8.ValidString(a.Key) || !utf8.ValidString(a.Str) {
				t.Errorf("%q = %q is not UTF-8", a.Key, a.Str)
			}
			if a.Key == processPID && a.Int != 4711 {
				t.Errorf("process.pid replaced by %d", a.Int)
			}
		}
		agree(t, p)
	})
}
