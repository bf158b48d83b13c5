// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// fleet is two gateways, and what agents send to in front of them.
type fleet struct {
	front    server
	address  string // of the front
	gateways []server
}

// fleets are the two ways to have several gateways, each with the configurations of
// config/ unchanged.
var fleets = map[string]func(testing.TB, ...string) fleet{
	"load balancer": balanced,
	"Kafka":         throughKafka,
}

func balanced(t testing.TB, environment ...string) (f fleet) {
	t.Helper()
	var addresses []string
	for range 2 {
		address := harness.Address(t)
		addresses = append(addresses, address)
		f.gateways = append(f.gateways, gatewayCollector(t, "config/gateway.yaml", append(environment, "GATEWAY_LISTEN="+address)...))
	}
	f.address = harness.Address(t)
	f.front = gatewayCollector(t, "config/load-balancer.yaml",
		"GATEWAY_LISTEN="+f.address, "GATEWAYS=["+strings.Join(addresses, ", ")+"]")
	return f
}

func throughKafka(t testing.TB, environment ...string) (f fleet) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(8, "getsockopt_traces", "getsockopt_metrics"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	brokers := "KAFKA_BROKERS=[" + strings.Join(cluster.ListenAddrs(), ", ") + "]"
	for range 2 {
		f.gateways = append(f.gateways, gatewayCollector(t, "config/gateway-kafka.yaml", append(environment, brokers)...))
	}
	// A group that still takes in a member reads some records again.
	for _, g := range f.gateways {
		harness.Eventually(t, limit, "each gateway has partitions", func() bool {
			return g.own(t, "otelcol_kafka_receiver_partition_start") > g.own(t, "otelcol_kafka_receiver_partition_close")
		})
	}
	f.address = harness.Address(t)
	f.front = gatewayCollector(t, "config/kafka.yaml", "GATEWAY_LISTEN="+f.address, brokers)
	return f
}

// own is the sum of a metric of the gateways themselves.
func (f fleet) own(t testing.TB, name string) (sum float64) {
	t.Helper()
	for _, g := range f.gateways {
		sum += g.own(t, name)
	}
	return sum
}

// stop ends what is in front first, which sends all that it holds.
func (f fleet) stop(t testing.TB) {
	t.Helper()
	f.front.stop(t)
	for _, g := range f.gateways {
		g.stop(t)
	}
}
