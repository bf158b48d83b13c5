// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"reflect"
	"testing"
	"time"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

const idA = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970"

var byExecutable = []record.NameFallback{record.FallbackExecutable}

var boot = time.Date(2026, 3, 1, 13, 0, 0, 0, time.FixedZone("CET", 3600))

func str(key, value string) Attribute      { return Attribute{Key: key, Str: value} }
func number(key string, n int64) Attribute { return Attribute{Key: key, Int: n, IsInt: true} }

func TestFromProcess(t *testing.T) {
	p := &record.Process{
		Key:            record.ProcessKey{Start: 90_061_234_567_890, PID: 4711},
		ParentPID:      4700,
		NamespacePID:   7,
		UID:            1000,
		RealUID:        0,
		PIDNamespace:   4026532001,
		MountNamespace: 4026532002,
		NetNamespace:   4026532003,
		Comm:           "worker",
		ExecutableName: "sh\xc3\xb6p",
		ExecutablePath: "/opt/caf\xe9/sh\xc3\xb6p",
		ContainerID:    idA,
		PodUID:         "275ecb36-5aa8-4c2a-9c47-d8bb681b9aff",
		SystemdUnit:    "web@blue.service",
		UnitService:    "web",
		Environment:    []string{"OTEL_RESOURCE_ATTRIBUTES=team=a,process.pid=1"},
	}
	want := &Resource{Attributes: []Attribute{
		str("container.id", idA),
		str("k8s.pod.uid", "275ecb36-5aa8-4c2a-9c47-d8bb681b9aff"),
		str("process.creation.time", "2026-03-02T13:01:01.234Z"),
		str("process.executable.name", "shöp"),
		str("process.executable.path", `/opt/caf\xe9/shöp`),
		str("process.linux.cgroup", `0::/system.slice/\xff`),
		number("process.parent_pid", 4700),
		number("process.pid", 4711),
		number("process.real_user.id", 0),
		number("process.user.id", 1000),
		number("process.vpid", 7),
		str("service.name", "shöp"),
		number("socket.caller.mount_namespace", 4026532002),
		number("socket.caller.network_namespace", 4026532003),
		number("socket.caller.pid_namespace", 4026532001),
		str("systemd.unit.name", "web@blue.service"),
		str("team", "a"),
	}}
	if got := FromProcess(p, boot, "0::/system.slice/\xff", byExecutable); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestFromProcessKernelThread(t *testing.T) {
	p := &record.Process{Key: record.ProcessKey{PID: 33}, ParentPID: 2, Comm: "iou\xff"}
	want := &Resource{Attributes: []Attribute{
		number("process.parent_pid", 2),
		number("process.pid", 33),
		number("process.real_user.id", 0),
		number("process.user.id", 0),
		str("service.name", `iou\xff`),
	}}
	if got := FromProcess(p, time.Time{}, "", byExecutable); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestFromCall(t *testing.T) {
	c := &record.Call{Process: record.ProcessKey{PID: 12}, Comm: []byte("worker-3")}
	want := &Resource{Attributes: []Attribute{
		number("process.pid", 12),
	}}
	if got := FromCall(c); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// fromGroup decides on a group as a new receiver would.
func fromGroup(g record.Group) *Resource {
	return NewGroups(NewProcfs("/proc"), time.Now).Resource(g)
}

func TestServiceOfGroups(t *testing.T) {
	for name, test := range map[string]struct {
		group              record.Group
		service, namespace string
	}{
		"overflow":     {record.Group{ID: record.GroupOverflow, Name: "x", Origin: record.OriginExecutable}, "", ""},
		"no name":      {record.Group{ID: 1}, "", ""},
		"executable":   {record.Group{ID: 1, Name: "a%20b", Origin: record.OriginExecutable}, "a%20b", ""},
		"service name": {record.Group{ID: 1, Name: "a%20b", Origin: record.OriginServiceName}, "a%20b", ""},
		"attributes":   {record.Group{ID: 1, Name: "a%20b", Namespace: " n%2C ", Origin: record.OriginAttributes}, "a b", "n,"},
		"executable with namespace": {
			record.Group{ID: 1, Name: "a%20b", Namespace: "n%20", Origin: record.OriginExecutable | record.OriginAttributes}, "a%20b", "n ",
		},
		"service name with namespace": {
			record.Group{ID: 1, Name: "a%20b", Namespace: "\xff", Origin: record.OriginServiceName | record.OriginAttributes}, "a%20b", `\xff`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := fromGroup(test.group)
			if find(r, serviceName) != test.service || find(r, serviceNamespace) != test.namespace {
				t.Errorf("got %+v, want service %q of namespace %q", r, test.service, test.namespace)
			}
			if want := min(len(test.service), 1) + min(len(test.namespace), 1); len(r.Attributes) != want {
				t.Errorf("got %+v, want service %q of namespace %q", r, test.service, test.namespace)
			}
		})
	}
}

func TestResourceIDIsUniquePerService(t *testing.T) {
	group := func(name, namespace string) *Resource {
		return fromGroup(record.Group{ID: 1, Name: name, Namespace: namespace, Origin: record.OriginAttributes})
	}
	if group("a%20b", "n").ID() != group("a b", "n").ID() {
		t.Error("one service written in two ways has two ids")
	}
	seen := map[string]*Resource{}
	for _, r := range []*Resource{
		{},
		group("a", ""), group("a", "b"), group("b", "a"), group("ab", ""),
		group("a%00service.namespace=1:b", ""), group("1:b", "1:b"), group("1:b17:service.namespace=1:b", ""),
		{Attributes: []Attribute{number("a", 1)}},
		{Attributes: []Attribute{str("a", "1")}},
		{Attributes: []Attribute{number("a", 1), number("b", 2)}},
	} {
		if other, found := seen[r.ID()]; found {
			t.Errorf("%+v and %+v have one id", r, other)
		}
		seen[r.ID()] = r
	}
}

func TestEscapeOfInvalidUTF8(t *testing.T) {
	for in, want := range map[string]string{
		"":                 "",
		"plain":            "plain",
		"é€😀\x01":          "é€😀\x01",
		"\xff":             `\xff`,
		"a\xe2\x82":        `a\xe2\x82`,
		"\xed\xa0\x80":     `\xed\xa0\x80`, // a surrogate
		"\uFFFDx\x80":      "\uFFFDx" + `\x80`,
		`\xff`:             `\xff`,
		"é\xc3":            `é\xc3`,
		"\xf0\x9f\x98\x80": "😀",
	} {
		t.Run(in, func(t *testing.T) {
			if got := Escape(in); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if got := string(AppendEscaped(nil, []byte(in))); got != want {
				t.Errorf("as bytes: got %q, want %q", got, want)
			}
		})
	}
}

func BenchmarkFromProcess(b *testing.B) {
	p := &record.Process{
		Key:            record.ProcessKey{Start: 9e12, PID: 4711},
		ParentPID:      1,
		NamespacePID:   7,
		ExecutableName: "checkout",
		ExecutablePath: "/usr/local/bin/checkout",
		ContainerID:    idA,
		Environment:    []string{"OTEL_SERVICE_NAME=checkout", "OTEL_RESOURCE_ATTRIBUTES=service.namespace=shop,deployment.environment.name=prod"},
	}
	b.ReportAllocs()
	for b.Loop() {
		FromProcess(p, boot, "0::/system.slice/docker-"+idA+".scope", byExecutable)
	}
}
