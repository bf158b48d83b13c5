// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// prometheus is a real one, which a test asks through its API.
type prometheus struct{ url string }

// startPrometheus starts one with a configuration.
func startPrometheus(t testing.TB, config string) prometheus {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatalf("%v: run hack/setup.sh, or `make test`, which does", err)
	}
	address := harness.Address(t)
	p := prometheus{url: "http://" + address}
	server := harness.Run(t, exec.Command(program,
		"--config.file="+harness.WriteFile(t, "prometheus.yml", config),
		"--storage.tsdb.path="+t.TempDir(),
		"--web.listen-address="+address,
		"--web.enable-remote-write-receiver",
		"--enable-feature=native-histograms,exemplar-storage",
	))
	err = server.Await(limit, "get ready", func() bool {
		answer, err := client.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// writeURL is where the Collector sends to.
func (p prometheus) writeURL() string { return p.url + "/api/v1/write" }

// get reads the data of an answer.
func (p prometheus) get(t *testing.T, path string, parameters url.Values, data any) {
	t.Helper()
	answer, err := client.Get(p.url + path + "?" + parameters.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	content := struct {
		Error string
		Data  any
	}{Data: data}
	if err := json.NewDecoder(answer.Body).Decode(&content); err != nil || content.Error != "" {
		t.Fatalf("%s of %v: %s, %v, %s", path, parameters, answer.Status, err, content.Error)
	}
}

// sample is an element of a query's answer.
type sample struct {
	Metric map[string]string
	Value  [2]any // time and number
}

func (p prometheus) query(t *testing.T, format string, arguments ...any) []sample {
	t.Helper()
	var data struct{ Result []sample }
	p.get(t, "/api/v1/query", url.Values{"query": {fmt.Sprintf(format, arguments...)}}, &data)
	return data.Result
}

// number is the one number that a query finds; NaN for none.
func (p prometheus) number(t *testing.T, format string, arguments ...any) float64 {
	t.Helper()
	samples := p.query(t, format, arguments...)
	if len(samples) != 1 {
		return math.NaN()
	}
	n, err := strconv.ParseFloat(samples[0].Value[1].(string), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (p prometheus) expect(t *testing.T, want float64, format string, arguments ...any) {
	t.Helper()
	got := p.number(t, format, arguments...)
	if !(math.Abs(got-want) <= 1e-12*math.Abs(want)) {
		t.Errorf("%s is %v, want %v", fmt.Sprintf(format, arguments...), got, want)
	}
}

type exemplar struct {
	Labels struct {
		TraceID string `json:"trace_id"`
		SpanID  string `json:"span_id"`
	}
	Value     string
	Timestamp float64
}

func (p prometheus) exemplars(t *testing.T, selector string) (all []exemplar) {
	t.Helper()
	var series []struct{ Exemplars []exemplar }
	p.get(t, "/api/v1/query_exemplars", url.Values{
		"query": {selector},
		"start": {strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10)},
		"end":   {strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)},
	}, &series)
	for _, s := range series {
		all = append(all, s.Exemplars...)
	}
	return all
}

// bounds are those of the bucket that holds a quantile, for points of one
// scale, as OpenTelemetry defines its buckets.
func bounds(points []point, quantile float64) (low, high float64) {
	buckets := map[int]uint64{}
	var total uint64
	for _, p := range points {
		for i, n := range p.histogram.Positive().BucketCounts().All() {
			buckets[int(p.histogram.Positive().Offset())+i] += n
			total += n
		}
	}
	indices := make([]int, 0, len(buckets))
	for i := range buckets {
		indices = append(indices, i)
	}
	slices.Sort(indices)
	var below float64
	for _, i := range indices {
		below += float64(buckets[i])
		if below >= quantile*float64(total) {
			base := math.Exp2(math.Exp2(-float64(points[0].histogram.Scale())))
			return math.Pow(base, float64(i)), math.Pow(base, float64(i+1))
		}
	}
	return math.NaN(), math.NaN()
}

// Every call arrives in a real Prometheus, sent with the configuration that
// users have: counters and native histograms are exact, quantiles right,
// exemplars name spans that were sent.
func TestPrometheusQueries(t *testing.T) {
	const loops, rounds = 400_000, 5
	p := startPrometheus(t, "global: {}\n")
	next := newSink(t)
	c := collector(t, []string{"PROMETHEUS_ENDPOINT=" + p.writeURL()},
		"--config", harness.File("config/prometheus.yaml"), "--config", harness.WriteFile(t, "test.yaml", fmt.Sprintf(`
receivers:
  getsockopt: {collection_interval: 500ms, select: %s}
exporters:
  otlp_http/test: {endpoint: %s}
service:
  pipelines:
    metrics/prometheus: {exporters: [prometheus_remote_write, otlp_http/test]}
    traces/exemplars: {exporters: [otlp_http/test]}
`, onlyCallers(t), next.serve(t))))

	// In two parts with a collection between, so that there is a rate.
	const alpha, beta = `{service_name="alpha"}`, `{service_name="beta"}`
	load(t, "alpha", loops/2)
	together(t, command(t, "beta", "kinds:"+strconv.Itoa(rounds)))
	harness.Eventually(t, limit, "Prometheus has the first half", func() bool {
		return p.number(t, "sum(socket_getsockopt_calls_total"+alpha+")") == loops/2 &&
			p.number(t, "sum(socket_errors_total"+beta+")") == rounds
	})
	load(t, "alpha", loops/2)
	together(t, command(t, "beta", "kinds:"+strconv.Itoa(rounds)))
	harness.Eventually(t, limit, "Prometheus has the second half", func() bool {
		return p.number(t, "sum(socket_getsockopt_calls_total"+alpha+")") == loops &&
			p.number(t, "sum(socket_errors_total"+beta+")") == 2*rounds
	})
	c.stop(t)

	checkTotals(t, next, "alpha", loops)
	for selector, want := range map[string]float64{
		alpha: loops,
		`{service_name="alpha",error_type="ENOPROTOOPT"}`:                   loops / 10,
		`{service_name="alpha",error_type=""}`:                              loops / 10 * 9,
		`{service_name="alpha",socket_option_name="SO_TYPE",error_type=""}`: loops / 10 * 9,
		beta: 2 * rounds * 10,
		`{service_name="beta",socket_option_level="IPPROTO_TCP",error_type!=""}`:        2 * rounds,
		`{service_name="beta",socket_option_name="SO_TYPE",error_type="EFAULT"}`:        4 * rounds,
		`{service_name="beta",socket_option_name="SO_ERROR",error_type="ECONNREFUSED"}`: math.NaN(), // the call worked
	} {
		t.Run(selector, func(t *testing.T) {
			if math.IsNaN(want) {
				if found := p.query(t, "socket_getsockopt_calls_total%s", selector); len(found) > 0 {
					t.Errorf("%v, want none", found)
				}
				return
			}
			p.expect(t, want, "sum(socket_getsockopt_calls_total%s)", selector)
			p.expect(t, want, "histogram_count(sum(socket_getsockopt_duration_seconds%s))", selector)
		})
	}
	p.expect(t, 2*rounds, `sum(socket_errors_total{service_name="beta",error_type="ECONNREFUSED"})`)

	// The first value of a series is an increase, too: a point of 0 precedes it.
	for query, want := range map[string]float64{
		"sum(increase(socket_errors_total" + beta + "[5m]))":                                 2 * rounds,
		"sum(increase(socket_getsockopt_calls_total" + beta + "[5m]))":                       2 * rounds * 10,
		"histogram_count(sum(increase(socket_getsockopt_duration_seconds" + beta + "[5m])))": 2 * rounds * 10,
	} {
		if got := p.number(t, "%s", query); !(got >= want*(1-1e-9) && got < 2*want) { // Prometheus extrapolates
			t.Errorf("%s is %v, want %v or a little more", query, got, want)
		}
	}

	points := next.of("alpha", durationMetric)
	var seconds float64
	for _, point := range points {
		seconds += point.histogram.Sum()
	}
	p.expect(t, seconds, "histogram_sum(sum(socket_getsockopt_duration_seconds%s))", alpha)
	for _, quantile := range []float64{0.01, 0.5, 0.9, 0.99, 0.999} {
		t.Run(fmt.Sprintf("quantile %v", quantile), func(t *testing.T) {
			low, high := bounds(points, quantile)
			got := p.number(t, "histogram_quantile(%v, sum(socket_getsockopt_duration_seconds%s))", quantile, alpha)
			if !(got >= low*(1-1e-9) && got <= high*(1+1e-9)) {
				t.Errorf("the %v quantile is %v s, want %v to %v", quantile, got, low, high)
			}
		})
	}

	name, err := os.ReadFile("/proc/sys/kernel/hostname")
	if err != nil {
		t.Fatal(err)
	}
	host := string(name[:len(name)-1])
	if found := p.query(t, "socket_getsockopt_calls_total{host_name=%q}", host); len(found) == 0 {
		t.Errorf("no series has host_name=%q: %v", host, p.query(t, "socket_getsockopt_calls_total"))
	}

	t.Run("exemplars", func(t *testing.T) { checkExemplars(t, p, next) })
}

// checkExemplars follows each exemplar to its span.
func checkExemplars(t *testing.T, p prometheus, next *sink) {
	sent := map[string]span{}
	for _, s := range next.spansOf("alpha", anySpan) {
		sent[s.traceID.String()] = s
	}
	found := p.exemplars(t, `socket_getsockopt_duration_seconds{service_name="alpha"}`)
	for _, x := range found {
		s, known := sent[x.Labels.TraceID]
		if !known || s.spanID.String() != x.Labels.SpanID {
			t.Errorf("the exemplar %+v names a span that was never sent", x)
			continue
		}
		seconds, err := strconv.ParseFloat(x.Value, 64)
		if err != nil {
			t.Fatal(err)
		}
		if duration := time.Duration(s.end - s.start); math.Abs(seconds-duration.Seconds()) > 1e-9 {
			t.Errorf("the exemplar is of %v s, want %v as its span", seconds, duration)
		}
	}
	if want := next.exemplars["alpha"]; want == 0 || len(found) != want {
		t.Errorf("Prometheus has %d exemplars, want %d", len(found), want)
	}
}
