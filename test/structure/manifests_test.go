// SPDX-License-Identifier: Apache-2.0

package structure

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

type object = map[string]any

func parse(t *testing.T, path string) object {
	t.Helper()
	var o object
	if err := yaml.Unmarshal([]byte(read(t, path)), &o); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return o
}

// at walks down from an object. A list is walked by its only element.
func at(t *testing.T, o object, path ...string) object {
	t.Helper()
	for _, key := range path {
		switch next := o[key].(type) {
		case object:
			o = next
		case []any:
			if len(next) != 1 {
				t.Fatalf("%s of %q has %d elements, want 1", key, path, len(next))
			}
			o = next[0].(object)
		default:
			t.Fatalf("there is no %s in %q", key, path)
		}
	}
	return o
}

func podOf(t *testing.T, path string) object {
	t.Helper()
	return at(t, parse(t, path), "spec", "template", "spec")
}

// make generate-kubernetes copies the configuration.
func TestManifestsHaveTheConfiguration(t *testing.T) {
	const source = "config/kubernetes.yaml"
	if packed := at(t, parse(t, "deploy/kubernetes/configmap.yaml"), "data")["config.yaml"]; packed != read(t, source) {
		t.Errorf("deploy/kubernetes/configmap.yaml has another configuration than %s: run make generate-kubernetes\n%s", source, cmp.Diff(read(t, source), packed))
	}
	if difference := cmp.Diff(parse(t, source), at(t, parse(t, "deploy/helm/values.yaml"), "alternateConfig")); difference != "" {
		t.Errorf("deploy/helm/values.yaml has another configuration than %s: run make generate-kubernetes\n%s", source, difference)
	}
}

// The two kinds differ in their privileges, and in nothing else.
func TestKindsOfManifestsDifferInPrivileges(t *testing.T) {
	least, full := podOf(t, "deploy/kubernetes/least.yaml"), podOf(t, "deploy/kubernetes/full.yaml")
	want := object{
		"runAsUser": 0, "runAsGroup": 0, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
		"capabilities":   object{"drop": []any{"ALL"}, "add": []any{"BPF", "PERFMON"}},
		"seccompProfile": object{"type": "RuntimeDefault"},
	}
	if difference := cmp.Diff(want, at(t, least, "containers")["securityContext"]); difference != "" {
		t.Errorf("least.yaml: %s", difference)
	}
	want["capabilities"] = object{"drop": []any{"ALL"}, "add": []any{"BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH"}}
	want["seccompProfile"], want["appArmorProfile"] = object{"type": "Unconfined"}, object{"type": "Unconfined"}
	if difference := cmp.Diff(want, at(t, full, "containers")["securityContext"]); difference != "" {
		t.Errorf("full.yaml: %s", difference)
	}
	if least["hostPID"] != nil || full["hostPID"] != true {
		t.Errorf("hostPID is %v and %v, want none and true", least["hostPID"], full["hostPID"])
	}
	for _, volume := range least["volumes"].([]any) {
		if volume.(object)["hostPath"] != nil {
			t.Errorf("least.yaml mounts %v", volume)
		}
	}
	delete(full, "hostPID")
	delete(at(t, least, "containers"), "securityContext")
	delete(at(t, full, "containers"), "securityContext")
	if difference := cmp.Diff(least, full); difference != "" {
		t.Errorf("the kinds also differ in\n%s", difference)
	}
}

// The chart makes of its values what the manifests have.
func TestValuesAgreeWithManifests(t *testing.T) {
	values, least, full := parse(t, "deploy/helm/values.yaml"), podOf(t, "deploy/kubernetes/least.yaml"), podOf(t, "deploy/kubernetes/full.yaml")
	container := at(t, least, "containers")
	for _, key := range []string{"securityContext", "resources"} {
		if difference := cmp.Diff(container[key], values[key]); difference != "" {
			t.Errorf("%s: %s", key, difference)
		}
	}
	for _, key := range []string{"tolerations", "nodeSelector", "priorityClassName"} {
		if difference := cmp.Diff(least[key], values[key]); difference != "" {
			t.Errorf("%s: %s", key, difference)
		}
	}
	// The chart has no names of these ports.
	ports := map[any]any{}
	for _, port := range container["ports"].([]any) {
		ports[port.(object)["name"]] = port.(object)["containerPort"]
	}
	for _, key := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
		get := at(t, container, key, "httpGet")
		get["port"] = ports[get["port"]]
		if difference := cmp.Diff(container[key], values[key]); difference != "" {
			t.Errorf("%s: %s", key, difference)
		}
	}
	update := at(t, parse(t, "deploy/kubernetes/least.yaml"), "spec", "updateStrategy", "rollingUpdate")
	if difference := cmp.Diff(update, at(t, values, "rollout", "rollingUpdate")); difference != "" {
		t.Errorf("rollout: %s", difference)
	}
	// The chart computes GOMEMLIMIT.
	env := slices.DeleteFunc(slices.Clone(container["env"].([]any)), func(v any) bool { return v.(object)["name"] == "GOMEMLIMIT" })
	if difference := cmp.Diff(env, values["extraEnvs"]); difference != "" {
		t.Errorf("extraEnvs: %s", difference)
	}
	image := at(t, values, "image")
	if want := container["image"]; image["repository"].(string)+":"+image["tag"].(string) != want {
		t.Errorf("the image is %v, want %v", image, want)
	}
	if version := strings.TrimSuffix(read(t, "VERSION"), "\n"); image["tag"] != version {
		t.Errorf("the image's tag is %s, VERSION is %s", image["tag"], version)
	}
	// Helm merges the maps of both files; the lists of the second win.
	merged := at(t, values, "securityContext")
	added := parse(t, "deploy/helm/full.yaml")
	for key, value := range at(t, added, "securityContext") {
		if known, ok := merged[key].(object); ok {
			maps.Copy(known, value.(object))
			continue
		}
		merged[key] = value
	}
	if difference := cmp.Diff(at(t, full, "containers")["securityContext"], any(merged)); difference != "" {
		t.Errorf("securityContext with full.yaml: %s", difference)
	}
	if added["hostPID"] != true {
		t.Error("full.yaml has no hostPID")
	}
}
