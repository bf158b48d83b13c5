// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// pod is a pod as the API server has it.
type pod struct {
	name, uid   string
	owner       [2]string // kind and name
	labels      map[string]string
	annotations map[string]string
	containers  []string
	ids         map[string]string // of the containers, as far as the status has them
}

const (
	namespace = "shop"
	tag       = "1.2.3"
)

func (p pod) object(version int) map[string]any {
	var specs, statuses []any
	for _, name := range p.containers {
		image := "registry.example/" + name + ":" + tag
		specs = append(specs, map[string]any{"name": name, "image": image})
		if id := p.ids[name]; id != "" {
			statuses = append(statuses, map[string]any{"name": name, "image": image, "containerID": "containerd://" + id})
		}
	}
	metadata := map[string]any{
		"name": p.name, "namespace": namespace, "uid": p.uid, "resourceVersion": strconv.Itoa(version),
		"creationTimestamp": time.Now().UTC().Format(time.RFC3339), "labels": p.labels, "annotations": p.annotations,
	}
	if p.owner[0] != "" {
		metadata["ownerReferences"] = []any{map[string]any{
			"apiVersion": "v1", "kind": p.owner[0], "name": p.owner[1], "uid": "of-" + p.owner[1], "controller": true,
		}}
	}
	return map[string]any{
		"kind": "Pod", "apiVersion": "v1", "metadata": metadata,
		"spec":   map[string]any{"nodeName": node, "containers": specs},
		"status": map[string]any{"phase": "Running", "containerStatuses": statuses},
	}
}

// withIDs is the pod with a status that has the ids of containers.
func (p pod) withIDs(containers ...*container) pod {
	p.ids = map[string]string{}
	for _, c := range containers {
		p.ids[c.name] = c.id
	}
	return p
}

// Cgroups of pods, by kubelet's two drivers. A static pod has a hash in place of its uid.
func cgroupfs(class, uid string) string { return "kubepods" + class + "/pod" + uid }

func systemd(class, uid string) string {
	return fmt.Sprintf("kubepods.slice/kubepods-%s.slice/kubepods-%s-pod%s.slice", class, class, strings.ReplaceAll(uid, "-", "_"))
}

func newUID(t *testing.T) string {
	t.Helper()
	id := caller.ContainerID(t)
	return strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:32]}, "-")
}
