// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/getsockopt/getsockoptreceiver/test/caller"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// check compares the attributes that identify a process. One that is not wanted must be
// absent.
func (r resource) check(t *testing.T, what string, want resource) {
	t.Helper()
	for _, key := range []string{
		"service.name", "service.namespace", "service.version", "k8s.namespace.name", "k8s.pod.name", "k8s.pod.uid",
		"k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name", "k8s.cronjob.name", "k8s.job.name",
		"k8s.container.name", "container.image.name", "container.id", "k8s.node.name", "host.name",
	} {
		if r[key] != want[key] {
			t.Errorf("%s: %s is %v, want %v", what, key, r[key], want[key])
		}
	}
}

// checkAll compares spans, up to the first that differs.
func checkAll(t *testing.T, what string, spans []resource, want func(resource) resource) {
	t.Helper()
	for i, s := range spans {
		if s.check(t, fmt.Sprintf("span %d of %s", i, what), want(s)); t.Failed() {
			return
		}
	}
}

func always(want resource) func(resource) resource { return func(resource) resource { return want } }

// of is the resource of a pod's container: what is known of the pod, and more.
func (p pod) of(c *container, more resource) resource {
	r := resource{
		"service.namespace": namespace, "k8s.namespace.name": namespace, "k8s.pod.name": p.name, "k8s.pod.uid": p.uid,
		"container.id": c.id, "k8s.node.name": node, "host.name": node,
	}
	maps.Copy(r, more)
	return r
}

// named adds what the pod's status has of a container.
func named(c *container, r resource) resource {
	r = maps.Clone(r)
	r["k8s.container.name"], r["container.image.name"], r["service.version"] = c.name, "registry.example/"+c.name, tag
	return r
}

// await waits until all calls of a container have arrived, as spans and in metrics.
func (g *gateway) await(t *testing.T, key string, calls int) {
	t.Helper()
	harness.Eventually(t, limit, fmt.Sprintf("%d calls of %.12s arrive", calls, key), func() bool {
		return len(g.spansOf(key)) == calls && g.metricsOf(key).calls == int64(calls)
	}, func() string {
		return fmt.Sprintf("%d spans, %d calls in metrics", len(g.spansOf(key)), g.metricsOf(key).calls)
	})
}

// awaitFirst waits until spans of a container have arrived, and returns how many.
func (g *gateway) awaitFirst(t *testing.T, c *container) int {
	t.Helper()
	harness.Eventually(t, limit, "spans of "+c.name+" arrive", func() bool { return len(g.spansOf(c.id)) > 0 })
	return len(g.spansOf(c.id))
}

// checkInstance checks what tells the metrics of containers apart where container.id is
// no label.
func (g *gateway) checkInstance(t *testing.T, c *container) {
	t.Helper()
	if got := g.metricsOf(c.id).resource["service.instance.id"]; got != c.id {
		t.Errorf("service.instance.id of %s's metrics is %v, want %s", c.name, got, c.id)
	}
}

// cluster is an agent on its node, and what is around it.
type cluster struct {
	api     *apiServer
	gateway *gateway
	cgroups cgroups
	agent   *agent
}

// schedule adds a pod, and waits until the processors of both signals know it: kubelet
// has the pod from the same server, and takes longer to start a container.
func (c *cluster) schedule(t *testing.T, p pod) {
	t.Helper()
	pods := c.api.set(p)
	harness.Eventually(t, limit, "the pod is known", func() bool {
		return c.agent.telemetry(t, "otelcol_k8s_watcher_pod_added", "") >= float64(2*pods)
	})
}

// Spans and metrics of a node have the names of pods, from the first call on, with the
// rights of a role that reads pods and without the host's pid namespace.
func TestNode(t *testing.T) {
	api := newAPIServer(t)
	gateway, address := newGateway(t)
	c := &cluster{api, gateway, newCgroups(t), startAgent(t, api, address, "")}
	t.Run("at the same time", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *cluster){
			"status after the first spans":           testLateStatus,
			"container of five seconds":              testBriefContainer,
			"pods come and go":                       testPodsComeAndGo,
			"two containers":                         testTwoContainers,
			"static pod":                             testStaticPod,
			"unit of the host":                       testUnit,
			"environment that the kernel side lacks": testLostEnvironment,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, c)
			})
		}
	})
	c.agent.checkHealth(t)
	c.agent.stop(t)
}

func checkout(t *testing.T) pod {
	t.Helper()
	return pod{
		name: "checkout-7d4b9c6f5-x2x4z", uid: newUID(t), owner: [2]string{"ReplicaSet", "checkout-7d4b9c6f5"},
		labels: map[string]string{"pod-template-hash": "7d4b9c6f5"}, containers: []string{"app"},
	}
}

var checkoutNames = resource{"service.name": "checkout", "k8s.deployment.name": "checkout"}

// The pod is known before its container starts, the container's id after its first spans.
func testLateStatus(t *testing.T, cluster *cluster) {
	p := checkout(t)
	c := cluster.cgroups.runc(t, "app", cgroupfs("/burstable", p.uid)+"/ID", program("60", "6"))
	cluster.schedule(t, p)
	process := c.start()
	early := cluster.gateway.awaitFirst(t, c)
	cluster.api.set(p.withIDs(c))
	end(t, process)
	cluster.gateway.await(t, c.id, 60)

	spans := cluster.gateway.spansOf(c.id)
	checkAll(t, "those before the status", spans[:early], always(p.of(c, checkoutNames)))
	spans[len(spans)-1].check(t, "last span", named(c, p.of(c, checkoutNames)))
	cluster.gateway.metricsOf(c.id).resource.check(t, "metrics", named(c, p.of(c, checkoutNames)))
	cluster.gateway.checkInstance(t, c)
}

// A job's container of podman. Its pod is removed at once when it ends.
func testBriefContainer(t *testing.T, cluster *cluster) {
	// A CronJob's jobs are named after their minute.
	job := fmt.Sprintf("report-%d", time.Now().Unix()/60)
	p := pod{name: job + "-k9m2p", uid: newUID(t), owner: [2]string{"Job", job}, containers: []string{"report"}}
	c := cluster.cgroups.podman(t, "report", cgroupfs("/besteffort", p.uid), program("50", "5")...)
	cluster.schedule(t, p)
	process := c.start()
	cluster.gateway.awaitFirst(t, c)
	cluster.api.set(p.withIDs(c))
	end(t, process)
	cluster.api.remove(p.withIDs(c))
	cluster.gateway.await(t, c.id, 50)

	want := p.of(c, resource{"service.name": "report", "k8s.cronjob.name": "report", "k8s.job.name": job})
	checkAll(t, p.name, cluster.gateway.spansOf(c.id), func(s resource) resource {
		if _, found := s["k8s.container.name"]; found {
			return named(c, want)
		}
		return want
	})
	cluster.gateway.metricsOf(c.id).resource.check(t, "metrics", named(c, want))
}

// Containers that are gone before any status has their ids. The processor would leave
// pods of this name out by default.
func testPodsComeAndGo(t *testing.T, cluster *cluster) {
	first := func() {}
	for i := range 10 {
		p := pod{name: fmt.Sprintf("jaeger-agent-%c", 'a'+i), uid: newUID(t), owner: [2]string{"DaemonSet", "jaeger-agent"}, containers: []string{"agent"}}
		c := cluster.cgroups.runc(t, "agent", systemd("besteffort", p.uid)+"/cri-containerd-ID.scope", program("5", "0"))
		cluster.schedule(t, p)
		end(t, c.start())
		cluster.api.remove(p)
		cluster.gateway.await(t, c.id, 5)
		want := p.of(c, resource{"service.name": "jaeger-agent", "k8s.daemonset.name": "jaeger-agent"})
		checkAll(t, p.name, cluster.gateway.spansOf(c.id), always(want))
		check := func() { cluster.gateway.metricsOf(c.id).resource.check(t, "metrics of "+p.name, want) }
		check()
		if i == 0 {
			first = check
		}
	}
	// The pod is gone for some collections now, and its metrics are still its own.
	first()
}

// What a process states of itself comes first, then the pod's annotation. Each container
// of a pod has series of its own.
func testTwoContainers(t *testing.T, cluster *cluster) {
	p := pod{
		name: "db-0", uid: newUID(t), owner: [2]string{"StatefulSet", "db"}, containers: []string{"postgres", "proxy"},
		labels:      map[string]string{"app.kubernetes.io/name": "database"},
		annotations: map[string]string{"resource.opentelemetry.io/service.name": "orders-db"},
	}
	slice := systemd("burstable", p.uid)
	postgres := cluster.cgroups.runc(t, "postgres", slice+"/crio-ID.scope", program("7", "0"), "OTEL_SERVICE_NAME=orders-postgres")
	proxy := cluster.cgroups.runc(t, "proxy", slice+"/crio-ID.scope", program("9", "0"))
	cluster.schedule(t, p.withIDs(postgres, proxy))
	end(t, postgres.start())
	end(t, proxy.start())
	cluster.gateway.await(t, postgres.id, 7)
	cluster.gateway.await(t, proxy.id, 9)
	for c, service := range map[*container]string{postgres: "orders-postgres", proxy: "orders-db"} {
		want := named(c, p.of(c, resource{"service.name": service, "k8s.statefulset.name": "db"}))
		checkAll(t, c.name, cluster.gateway.spansOf(c.id), always(want))
		cluster.gateway.metricsOf(c.id).resource.check(t, "metrics of "+c.name, want)
		cluster.gateway.checkInstance(t, c)
	}
}

// The API server's uid of a static pod is not the one in its cgroup.
func testStaticPod(t *testing.T, cluster *cluster) {
	p := pod{name: "etcd-" + node, uid: newUID(t), owner: [2]string{"Node", node}, containers: []string{"etcd"}}
	c := cluster.cgroups.runc(t, "etcd", cgroupfs("/burstable", caller.ContainerID(t)[:32])+"/ID", program("5", "0"))
	cluster.schedule(t, p.withIDs(c))
	end(t, c.start())
	cluster.gateway.await(t, c.id, 5)
	want := named(c, p.of(c, resource{"service.name": p.name}))
	checkAll(t, p.name, cluster.gateway.spansOf(c.id), always(want))
	cluster.gateway.metricsOf(c.id).resource.check(t, "metrics", want)
}

// kubelet keeps its name, and is in no pod.
func testUnit(t *testing.T, cluster *cluster) {
	// The cpuset controller wants settings before it takes a process.
	const enter = `
for mount in $MOUNTS; do
	mkdir -p "$mount$CGROUP"
	echo $$ 2>/dev/null >"$mount$CGROUP/cgroup.procs" || true
done
exec "$0" 5 0`
	cmd := exec.Command("/bin/sh", "-ec", enter, filepath.Join(image, known))
	cmd.Env = []string{"MOUNTS=" + strings.Join(hierarchies(t), " "), "CGROUP=" + string(cluster.cgroups) + "/system.slice/kubelet.service"}
	end(t, harness.Run(t, cmd))
	cluster.gateway.await(t, "kubelet", 5)
	want := resource{"service.name": "kubelet", "k8s.node.name": node, "host.name": node}
	checkAll(t, "kubelet", cluster.gateway.spansOf("kubelet"), always(want))
	cluster.gateway.metricsOf("kubelet").resource.check(t, "metrics", want)
}

// The kernel side searches so many variables, and without the host's pid namespace /proc
// has no more: the name that the process states is lost, which is counted, and it is named
// after its workload.
func testLostEnvironment(t *testing.T, cluster *cluster) {
	var env []string
	for i := range 3000 {
		env = append(env, fmt.Sprintf("SERVICE_%d=10.0.0.1", i))
	}
	p := checkout(t)
	p.name = "checkout-7d4b9c6f5-lost1"
	c := cluster.cgroups.runc(t, "app", cgroupfs("", p.uid)+"/ID", program("5", "0"), append(env, "OTEL_SERVICE_NAME=lost")...)
	cluster.schedule(t, p.withIDs(c))
	end(t, c.start())
	cluster.gateway.await(t, c.id, 5)
	want := named(c, p.of(c, checkoutNames))
	checkAll(t, p.name, cluster.gateway.spansOf(c.id), always(want))
	cluster.gateway.metricsOf(c.id).resource.check(t, "metrics", want)
	harness.Eventually(t, limit, "the loss is counted", func() bool {
		return cluster.agent.telemetry(t, "otelcol_receiver_getsockopt_identity_incomplete", `reason="environment_unavailable"`) == 1
	})
}

// Without an API server the calls are there and the pod is alive and ready; the names
// come with the server.
func TestAPIServerThatIsDown(t *testing.T) {
	api := newAPIServer(t)
	api.setDown(true)
	gateway, address := newGateway(t)
	a := startAgent(t, api, address, "")
	cgroups := newCgroups(t)
	p := checkout(t)
	c := cgroups.runc(t, "app", cgroupfs("/burstable", p.uid)+"/ID", program("1000", "100"))
	api.set(p.withIDs(c))
	c.start()
	harness.Eventually(t, limit, "calls arrive", func() bool {
		return len(gateway.spansOf(c.id)) > 0 && gateway.metricsOf(c.id).calls > 0 && api.requests() > 0
	})
	a.checkHealth(t)
	if name, found := gateway.metricsOf(c.id).resource["k8s.pod.name"]; found {
		t.Errorf("k8s.pod.name is %v without an API server", name)
	}
	api.setDown(false)
	want := named(c, p.of(c, checkoutNames))
	harness.Eventually(t, limit, "the names arrive", func() bool {
		spans := gateway.spansOf(c.id)
		return spans[len(spans)-1]["k8s.pod.name"] == p.name && gateway.metricsOf(c.id).resource["k8s.pod.name"] == p.name
	})
	spans := gateway.spansOf(c.id)
	spans[len(spans)-1].check(t, "last span", want)
	gateway.metricsOf(c.id).resource.check(t, "metrics", want)
	a.stop(t)
}

// A receiver that loses data restarts nothing: the error is one that may pass.
func TestDegradedReceiverIsReady(t *testing.T) {
	_, address := newGateway(t)
	// A limit that the Collector is above from the start: all data is refused.
	a := startAgent(t, newAPIServer(t), address, "processors: {memory_limiter: {limit_mib: 1}}")
	end(t, harness.Run(t, exec.Command(filepath.Join(image, known), "1", "0")))
	harness.Eventually(t, limit, "data is refused", func() bool {
		_, h := a.probe(t, "13133", "/live")
		return h.Status == "StatusRecoverableError" && strings.Contains(h.Error, "refused")
	})
	a.checkHealth(t)
	a.stop(t)
}
