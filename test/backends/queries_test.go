// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// Every query that users get, of the documents, the dashboards and the alerts, finds data
// in a real Prometheus, where a series is of a service, and where it is of a container. It has
// the self-telemetry as it is scraped, and the data of two services as config/prometheus.yaml
// sends it. One of them has a namespace, and runs in two containers. Connections of both are
// refused and time out.
func TestQueriesFindData(t *testing.T) {
	// The name of a test is a part of file names in Prometheus's configuration.
	t.Run("service", func(t *testing.T) { queriesFindData(t, "[service]", 0) })
	t.Run("container", func(t *testing.T) { queriesFindData(t, "[service, container]", 2) })
}

// queriesFindData does so where so many series, of containers, are of the one service.
func queriesFindData(t *testing.T, groupBy string, containers int) {
	const rounds = 100
	metricsPort := harness.Port(t)
	p := startPrometheus(t, fmt.Sprintf(`
global: {scrape_interval: 500ms, evaluation_interval: 500ms}
rule_files: [%s]
scrape_configs:
  - job_name: otelcol
    static_configs: [{targets: ["localhost:%s"]}]
`, fastRules(t), metricsPort))
	next := newSink(t)
	c := collector(t, []string{"PROMETHEUS_ENDPOINT=" + p.writeURL(), "METRICS_PORT=" + metricsPort},
		"--config", harness.File("config/prometheus.yaml"), "--config", harness.WriteFile(t, "test.yaml", fmt.Sprintf(`
receivers:
  getsockopt:
    collection_interval: 500ms
    group_by: %s
    select: %s
    metrics: {socket.errors: {attributes: [network.peer.address, network.peer.port]}}
exporters:
  otlp_http/test: {endpoint: %s}
service:
  pipelines:
    traces/exemplars: {exporters: [otlp_http/test]}
`, groupBy, onlyCallers(t), next.serve(t))))

	// In two parts with a collection between, so that there is a rate.
	script := "connections:" + strconv.Itoa(rounds)
	for part := 1; part <= 2; part++ {
		commands := []*exec.Cmd{command(t, "cart", script)}
		for container := range 2 {
			checkout := command(t, "checkout", script)
			checkout.Env = append(checkout.Env, "OTEL_RESOURCE_ATTRIBUTES=service.namespace=shop")
			caller.Enter(t, checkout, caller.Cgroup(t, fmt.Sprintf("/docker-%064x.scope", 1+container)))
			commands = append(commands, checkout)
		}
		together(t, commands...)
		harness.Eventually(t, limit, "Prometheus has the errors", func() bool {
			return p.number(t, `sum(socket_errors_total{error_type="ECONNREFUSED"})`) == float64(3*part*rounds)
		})
	}

	// Prometheus tells the containers of a service apart, and the queries add them up.
	p.expect(t, float64(containers), `count(count by (instance, container_id) (socket_getsockopt_calls_total{service_name="checkout", instance!=""})) or vector(0)`)
	p.expect(t, 4*rounds, `sum by (service_name, error_type) (socket_errors_total{service_name="checkout", error_type="ECONNREFUSED"})`)
	t.Run("documents", func(t *testing.T) {
		for _, query := range documented(t) {
			p.finds(t, query)
		}
	})
	t.Run("dashboards", func(t *testing.T) { p.checkDashboards(t) })
	t.Run("alerts", func(t *testing.T) { p.checkRules(t) })
	t.Run("data sources", func(t *testing.T) { p.checkDatasources(t) })
	c.stop(t)
}

// fastRules are the alerts, evaluated more often.
func fastRules(t *testing.T) string {
	t.Helper()
	rules, err := os.ReadFile(harness.File("deploy/prometheus/rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return harness.WriteFile(t, "rules.yaml", strings.ReplaceAll(string(rules), "interval: 1m", "interval: 500ms"))
}

// finds waits until a query finds a number: rates need two samples, and rules their turn.
func (p prometheus) finds(t *testing.T, query string) (found []sample) {
	t.Helper()
	harness.Eventually(t, limit, "data is found by\n"+query, func() bool {
		found = p.query(t, "%s", query)
		return slices.ContainsFunc(found, func(s sample) bool { return s.Value[1] != "NaN" })
	})
	return found
}

var promql = regexp.MustCompile("(?s)```promql\n(.*?)\n```")

// documented returns the queries of all documents.
func documented(t *testing.T) (queries []string) {
	t.Helper()
	documents, err := filepath.Glob(harness.File("docs/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range append(documents, harness.File("README.md")) {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range promql.FindAllStringSubmatch(string(text), -1) {
			queries = append(queries, block[1])
		}
	}
	if len(queries) < 20 {
		t.Fatalf("the documents show %d queries, want those of metrics, runbooks and cookbook", len(queries))
	}
	return queries
}

var labelValues = regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`)

// legend matches a label in the legend of a chart.
var legend = regexp.MustCompile(`\{\{(\w+)\}\}`)

func (p prometheus) checkDashboards(t *testing.T) {
	paths, err := filepath.Glob(harness.File("deploy/grafana/*.json"))
	if err != nil || len(paths) < 3 {
		t.Fatalf("%v, %v, want services, options and receiver", paths, err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var content struct {
				Panels []struct {
					Targets []struct{ Expr, LegendFormat string }
				}
				Templating struct {
					List []struct {
						Name, Type, AllValue string
						Query                string
					}
				}
			}
			if err := json.Unmarshal(b, &content); err != nil {
				t.Fatal(err)
			}
			// All of each variable, as Grafana writes it into a query, and one value of it.
			all, one := []string{"$__rate_interval", "1m"}, []string{"$__rate_interval", "1m"}
			names := map[string]bool{}
			for _, v := range content.Templating.List {
				if v.Type != "query" {
					continue
				}
				match := labelValues.FindStringSubmatch(v.Query)
				if match == nil {
					t.Fatalf("the variable %s is %q", v.Name, v.Query)
				}
				names[v.Name] = true
				all = append(all, "$"+v.Name, v.AllValue)
				// Discovery in Kubernetes adds the namespace of a scrape; here none does.
				value := v.AllValue
				if found := p.query(t, `topk(1, {__name__=%q,%s!=""})`, match[1], match[2]); len(found) > 0 {
					value = found[0].Metric[match[2]]
				} else if filepath.Base(path) != "receiver.json" || v.Name != "namespace" {
					t.Errorf("%s finds nothing", v.Query)
				}
				one = append(one, "$"+v.Name, value)
			}
			if !names["host"] || !names["namespace"] {
				t.Errorf("the variables are %v, want host and namespace among them", names)
			}
			for _, panel := range content.Panels {
				for _, target := range panel.Targets {
					found := p.finds(t, strings.NewReplacer(all...).Replace(target.Expr))
					for _, label := range legend.FindAllStringSubmatch(target.LegendFormat, -1) {
						has := func(s sample) bool { return s.Metric[label[1]] != "" }
						// No series overflows here.
						if label[1] != "otel_metric_overflow" && !slices.ContainsFunc(found, has) {
							t.Errorf("nothing has the label %s of the legend, found by\n%s", label[1], target.Expr)
						}
					}
					// One value of each need not have data together, but is a query as well.
					p.query(t, "%s", strings.NewReplacer(one...).Replace(target.Expr))
				}
			}
		})
	}
}

// What a rule reads: metrics, and what other rules record.
var metricName = regexp.MustCompile(`\b(?:otelcol_|socket_|getsockopt:|service:)[\w:]+(?:\{|\[| |\n|\))`)

// checkRules checks that each rule is evaluated without an error, that what it reads exists,
// and that the alert fires on connections that fail.
func (p prometheus) checkRules(t *testing.T) {
	var data struct {
		Groups []struct {
			Rules []struct{ Name, Query, Type, Health, LastError string }
		}
	}
	rules := 0
	p.get(t, "/api/v1/rules", nil, &data)
	for _, group := range data.Groups {
		for _, rule := range group.Rules {
			rules++
			if rule.Health != "ok" {
				t.Errorf("%s is %s: %s", rule.Name, rule.Health, rule.LastError)
			}
			reads := metricName.FindAllString(rule.Query, -1)
			if len(reads) == 0 {
				t.Errorf("%s reads no metric: %s", rule.Name, rule.Query)
			}
			for _, name := range reads {
				p.finds(t, strings.TrimRight(name, "{[ \n)"))
			}
			if rule.Type == "recording" {
				p.finds(t, rule.Name)
			}
		}
	}
	if rules < 15 {
		t.Errorf("Prometheus has %d rules", rules)
	}
	for _, service := range []string{`service_name="checkout",service_namespace="shop"`, `service_name="cart"`} {
		p.finds(t, `ALERTS{alertname="GetsockoptSocketErrorRatio",`+service+`}`)
	}
	p.expect(t, 0, "max(abs(getsockopt:spans:unaccounted))")
	for _, quiet := range []string{"GetsockoptAccountsUnbalanced", "GetsockoptMetricsMissing", "GetsockoptSpansLost", "GetsockoptSeriesNearLimit"} {
		harness.Eventually(t, limit, quiet+" ends: all is well", func() bool {
			return len(p.query(t, `ALERTS{alertname=%q}`, quiet)) == 0
		})
	}
}

// checkDatasources checks that Grafana finds the trace of an exemplar: by a label that
// exemplars have, in both tracing backends.
func (p prometheus) checkDatasources(t *testing.T) {
	b, err := os.ReadFile(harness.File("deploy/grafana/datasources.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var content struct {
		Datasources []struct {
			UID, Type string
			JSONData  struct {
				Exemplars []struct {
					Name string
					UID  string `yaml:"datasourceUid"`
				} `yaml:"exemplarTraceIdDestinations"`
				Metrics struct {
					UID     string `yaml:"datasourceUid"`
					Queries []struct{ Query string }
				} `yaml:"tracesToMetrics"`
			} `yaml:"jsonData"`
		}
	}
	if err := yaml.Unmarshal(b, &content); err != nil {
		t.Fatal(err)
	}
	types := map[string]string{}
	for _, d := range content.Datasources {
		types[d.UID] = d.Type
	}
	var series []struct {
		Exemplars []struct{ Labels map[string]string }
	}
	p.get(t, "/api/v1/query_exemplars", url.Values{
		"query": {"socket_getsockopt_duration_seconds"},
		"start": {strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10)},
		"end":   {strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)},
	}, &series)
	if len(series) == 0 {
		t.Fatal("Prometheus has no exemplars")
	}
	leadsTo := map[string]bool{}
	for _, d := range content.Datasources {
		for _, destination := range d.JSONData.Exemplars {
			leadsTo[types[destination.UID]] = true
			if labels := series[0].Exemplars[0].Labels; labels[destination.Name] == "" {
				t.Errorf("exemplars have %v, and no %s", labels, destination.Name)
			}
		}
		for _, q := range d.JSONData.Metrics.Queries {
			if types[d.JSONData.Metrics.UID] != "prometheus" {
				t.Errorf("%s leads to metrics in %q", d.UID, d.JSONData.Metrics.UID)
			}
			p.finds(t, strings.NewReplacer("$$__tags", `service_name="checkout"`, "$$__rate_interval", "1m").Replace(q.Query))
		}
	}
	if !leadsTo["jaeger"] || !leadsTo["tempo"] {
		t.Errorf("exemplars lead to %v, want Jaeger and Tempo", leadsTo)
	}
}
