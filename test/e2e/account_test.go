// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// own is the self-telemetry of the receiver, in all series of each metric
// together, as `name` or `name{label="value"}`.
type own map[string]int64

// scrape reads the Collector's own metrics as Prometheus would. The client must
// keep its connection: to make one is a call of getsockopt, and with a new one
// each time there would always be a call on its way.
func scrape(t *testing.T, client *http.Client, port string) own {
	t.Helper()
	answer, err := client.Get("http://localhost:" + port + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	reported := own{}
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		line, found := strings.CutPrefix(lines.Text(), "otelcol_receiver_getsockopt_")
		if !found {
			continue
		}
		series, value, _ := strings.Cut(line, " ")
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		reported[series] += int64(n)
		if name, _, labelled := strings.Cut(series, "{"); labelled {
			reported[name] += int64(n)
		}
	}
	return reported
}

// Every call the kernel saw is accounted for, in the Collector's own metrics
// and in what it sent.
func TestEveryCallIsAccountedFor(t *testing.T) {
	sink := newSink(t)
	port := harness.Port(t)
	c := collector(t, sink.config(t, defaults, "readers: [{pull: {exporter: {prometheus: {host: localhost, port: "+port+"}}}}]"))
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	const calls = 5000 // more than become spans at once
	k := runKnown(t, "accounted", caller.Command(t, fmt.Sprintf("loop:%d", calls), "OTEL_SERVICE_NAME=accounted"))
	var reported own
	harness.Eventually(t, arrivalLimit, "the calls arrive, and none is in flight", func() bool {
		reported = scrape(t, client, port)
		return sink.calls(k.service) == calls && reported["in_flight"] == 0 &&
			reported["seen"] == reported["filtered"]+reported["uncounted"]+reported["expired"]+sink.allCalls()
	})
	if reported["seen"] < calls || reported["filtered"] < 1 {
		t.Errorf("%d calls seen, %d filtered, want %d and the self-test", reported["seen"], reported["filtered"], calls)
	}
	if outcomes := reported["filtered"] + reported["sampled_out"] + reported["emitted"] + reported["lost"]; reported["seen"] != outcomes {
		t.Errorf("%d calls seen, %d accounted for: %v", reported["seen"], outcomes, reported)
	}
	if here := int64(len(sink.spansOf(k.pid()))); here > reported["emitted"] || here < 1 {
		t.Errorf("%d spans came of the program, %d were emitted in all", here, reported["emitted"])
	}
	c.stop(t)
}
