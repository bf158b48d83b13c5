// SPDX-License-Identifier: Apache-2.0

package structure

import (
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// distributions are those with the receiver, and the one for gateways.
var (
	distributions = []string{"builder-config.yaml", "builder-config-k8s.yaml"}
	gateways      = "builder-config-gateway.yaml"
)

type (
	builderModule struct {
		Gomod, Import, Path string
	}
	builderConfig struct {
		Dist       map[string]string
		Receivers  []builderModule
		Processors []builderModule
		Exporters  []builderModule
		Connectors []builderModule
		Extensions []builderModule
		Providers  []builderModule
	}
)

func readBuilder(t *testing.T, name string) builderConfig {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(read(t, name)))
	decoder.KnownFields(true)
	var config builderConfig
	if err := decoder.Decode(&config); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return config
}

func (c builderConfig) modules() []builderModule {
	return slices.Concat(c.Receivers, c.Processors, c.Exporters, c.Connectors, c.Extensions, c.Providers)
}

// What runs on a host also runs on a node: one distribution is the other and a processor.
func TestDistributionsDifferInOneProcessor(t *testing.T) {
	light, full := readBuilder(t, distributions[0]), readBuilder(t, distributions[1])
	var added []string
	for _, m := range full.modules() {
		if !slices.Contains(light.modules(), m) {
			added = append(added, m.Gomod)
		}
	}
	const want = "github.com/open-telemetry/opentelemetry-collector-contrib/processor/k8sattributesprocessor v0.160.0"
	if !slices.Equal(added, []string{want}) {
		t.Errorf("%s adds %q, want %s", distributions[1], added, want)
	}
	for _, m := range light.modules() {
		if !slices.Contains(full.modules(), m) {
			t.Errorf("%s has no %s", distributions[1], m.Gomod)
		}
	}
}

// What a gateway has in common with agents, it has in the same version.
func TestDistributionsShareVersions(t *testing.T) {
	versions := map[string]string{}
	for _, name := range slices.Concat(distributions, []string{gateways}) {
		for _, m := range readBuilder(t, name).modules() {
			path, version, _ := strings.Cut(m.Gomod, " ")
			if first, found := versions[path]; found && version != first {
				t.Errorf("%s has %s %s, another has %s", name, path, version, first)
			}
			versions[path] = version
		}
	}
}

// A gateway reads from agents or from Kafka, and is otherwise the same.
func TestGatewaysDifferInTheirReceiver(t *testing.T) {
	body := func(name, receiver string) string {
		_, processors, found := strings.Cut(read(t, name), "\nprocessors:\n")
		if !found {
			t.Fatalf("%s has no processors", name)
		}
		return strings.ReplaceAll(processors, "receivers: ["+receiver+"]", "")
	}
	if body("config/gateway.yaml", "otlp") != body("config/gateway-kafka.yaml", "kafka") {
		t.Error("config/gateway.yaml and config/gateway-kafka.yaml differ in more than their receiver")
	}
}
