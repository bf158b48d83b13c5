// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"strings"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// kernelGroup names the group of a process as bpf/group.h does, byte by
// byte: the reference for what a process's own resource must agree with.
func kernelGroup(p *record.Process) record.Group {
	g := record.Group{ID: 1}
	name, attributes := "", ""
	var haveName, haveAttributes bool
	for _, entry := range p.Environment {
		if v, found := strings.CutPrefix(entry, "OTEL_SERVICE_NAME="); found && !haveName {
			name, haveName = v, true
		}
		if v, found := strings.CutPrefix(entry, "OTEL_RESOURCE_ATTRIBUTES="); found && !haveAttributes {
			attributes, haveAttributes = v, true
		}
	}
	if comma := strings.LastIndexByte(attributes, ','); p.AttributesCut && comma >= 0 {
		attributes = attributes[:comma]
	}
	scanned, namespace, instance := kernelScan(attributes)
	if scanned != "" || namespace != "" {
		g.Origin |= record.OriginAttributes
	}
	g.Namespace, g.InstanceID = namespace, instance
	switch {
	case name != "":
		g.Origin |= record.OriginServiceName
		g.Name = name[:min(len(name), 255)]
	case scanned != "":
		g.Name = scanned
	default:
		g.Origin |= record.OriginExecutable
		g.Name = executableName(p)
		g.Name = g.Name[:min(len(g.Name), 255)]
	}
	return g
}

func kernelScan(s string) (name, namespace, instance string) {
	const (
		inKey = iota
		inName
		inNamespace
		inInstance
		inOther
	)
	var key, value []byte
	state := inKey
	for i := range len(s) {
		switch c := s[i]; {
		case c == ',':
			state, key, value = inKey, nil, nil
		case state == inKey && (c == ' ' || c == '\t'):
		case state == inKey && c == '=':
			switch string(key) {
			case "service.name":
				state = inName
			case "service.namespace":
				state = inNamespace
			case "service.instance.id":
				state = inInstance
			default:
				state = inOther
			}
		case state == inKey:
			key = append(key, c)
		case len(value) == 0 && (c == ' ' || c == '\t'):
		case state == inName && len(value) < 255:
			value = append(value, c)
			name = string(value)
		case state == inNamespace && len(value) < 127:
			value = append(value, c)
			namespace = string(value)
		case state == inInstance && len(value) < 127:
			value = append(value, c)
			instance = string(value)
		}
	}
	return name, namespace, instance
}
