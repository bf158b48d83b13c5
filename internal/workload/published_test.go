// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// publishedGroup names the group of a process that publishes these names, as bpf/group.h does.
func publishedGroup(p *record.Process, published []Attribute) record.Group {
	g, names := kernelGroup(p), PublishedNames(published)
	if names.Name != "" {
		g.Name, g.Origin = names.Name, g.Origin&^record.OriginExecutable|record.OriginServiceName
	}
	if names.Namespace != "" {
		g.Namespace = names.Namespace
	}
	if names.InstanceID != "" {
		g.InstanceID = names.InstanceID
	}
	return g
}

func TestPublished(t *testing.T) {
	environment := []string{"OTEL_SERVICE_NAME=e", "OTEL_RESOURCE_ATTRIBUTES=service.namespace=n,service.instance.id=1,team=a,x=y"}
	for name, test := range map[string]struct {
		published []Attribute
		want      map[string]string
	}{
		"nothing":          {nil, map[string]string{serviceName: "e", serviceNamespace: "n", serviceInstanceID: "1", "team": "a"}},
		"name":             {[]Attribute{str(serviceName, "p")}, map[string]string{serviceName: "p", serviceNamespace: "n"}},
		"empty name":       {[]Attribute{str(serviceName, "")}, map[string]string{serviceName: "e"}},
		"unknown":          {[]Attribute{str(serviceName, "unknown_service:java")}, map[string]string{serviceName: "e"}},
		"unknown name":     {[]Attribute{str(serviceName, "unknown_service")}, map[string]string{serviceName: "e"}},
		"number as name":   {[]Attribute{number(serviceName, 1)}, map[string]string{serviceName: "e"}},
		"name as it is":    {[]Attribute{str(serviceName, " a%20b ")}, map[string]string{serviceName: " a%20b "}},
		"all":              {[]Attribute{str(serviceName, "p"), str(serviceNamespace, "50%"), str(serviceInstanceID, "a%20b")}, map[string]string{serviceName: "p", serviceNamespace: "50%", serviceInstanceID: "a%20b"}},
		"others":           {[]Attribute{str("team", "b"), str("new", "c")}, map[string]string{"team": "b", "new": "c", "x": "y"}},
		"last of equal":    {[]Attribute{str(serviceName, "p"), str(serviceName, "q")}, map[string]string{serviceName: "q"}},
		"with a NUL":       {[]Attribute{str(serviceName, "p\x00q")}, map[string]string{serviceName: "p"}},
		"long":             {[]Attribute{str(serviceName, "x"+strings.Repeat("é", 200)), str(serviceNamespace, strings.Repeat("%", 100))}, map[string]string{serviceName: "x" + strings.Repeat("é", 127), serviceNamespace: strings.Repeat("%", 42)}},
		"identity of ours": {[]Attribute{str(processExecutableName, "false")}, map[string]string{processExecutableName: "curl"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &record.Process{Key: record.ProcessKey{PID: 3}, ExecutableName: "curl", ExecutablePath: "/curl", Environment: environment}
			r := FromProcess(p, time.Time{}, "", byExecutable, test.published...)
			for key, want := range test.want {
				if got := find(r, key); got != want {
					t.Errorf("%s = %q, want %q", key, got, want)
				}
			}
			g := fromGroup(publishedGroup(p, test.published))
			for _, key := range []string{serviceName, serviceNamespace, serviceInstanceID} {
				if a, b := find(r, key), find(g, key); a != b {
					t.Errorf("spans have %s %q, metrics %q", key, a, b)
				}
			}
		})
	}
}

func FuzzPublishedNames(f *testing.F) {
	f.Add("shop", "50%", " a ")
	f.Add(strings.Repeat("é", 200), strings.Repeat("%20", 60), "\x00")
	f.Fuzz(func(t *testing.T, name, namespace, instance string) {
		published := []Attribute{str(serviceName, Escape(name)), str(serviceNamespace, Escape(namespace)), str(serviceInstanceID, Escape(instance))}
		p := &record.Process{Key: record.ProcessKey{PID: 3}, ExecutableName: "curl"}
		r, g := FromProcess(p, time.Time{}, "", byExecutable, published...), fromGroup(publishedGroup(p, published))
		for _, key := range []string{serviceName, serviceNamespace, serviceInstanceID} {
			a, b := find(r, key), find(g, key)
			if a != b || !utf8.ValidString(a) {
				t.Errorf("spans have %s %q, metrics %q", key, a, b)
			}
		}
	})
}
