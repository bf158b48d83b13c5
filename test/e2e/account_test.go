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

// own is what the receiver says about itself, in all series of each metric
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
	said := own{}
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
		said[series] += int64(n)
		if name, _, labelled := strings.Cut(series, "{"); labelled {
			said[name] += int64(n)
		}
	}
	return said
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
	var said own
	harness.Eventually(t, arrivalLimit, "the calls arrive, and none is in flight", func() bool {
		said = scrape(t, client, port)
		return sink.calls(k.service) == calls && said["in_flight"] == 0 &&
			said["seen"] == said["filtered"]+said["uncounted"]+sink.allCalls()
	})
	if said["seen"] < calls || said["filtered"] < 1 {
		t.Errorf("%d calls seen, %d filtered, want %d and the proof", said["seen"], said["filtered"], calls)
	}
	if outcomes := said["filtered"] + said["sampled_out"] + said["emitted"] + said["lost"]; said["seen"] != outcomes {
		t.Errorf("%d calls seen, %d accounted for: %v", said["seen"], outcomes, said)
	}
	if here := int64(len(sink.spansOf(k.pid()))); here > said["emitted"] || here < 1 {
		t.Errorf("%d spans came of the program, %d were emitted in all", here, said["emitted"])
	}
	c.stop(t)
}
