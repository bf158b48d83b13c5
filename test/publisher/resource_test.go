// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/semconv"
	"github.com/getsockopt/getsockoptreceiver/receiver/getsockoptreceiver"
	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// buildResource builds the publisher of resources under a name of its own.
func buildResource(t *testing.T, name string) string {
	t.Helper()
	return compile(t, name, "resource.c", "-Wextra")
}

// publisherOf is a running publisher of resources.
type publisherOf struct{ *harness.Worker }

func startResource(t *testing.T, executable string, environment ...string) publisherOf {
	t.Helper()
	command := exec.Command(executable)
	command.Env = append(os.Environ(), environment...)
	w, err := harness.StartWorker(command)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := w.Stop(); err != nil {
			t.Error(err)
		}
	})
	return publisherOf{w}
}

// do makes it follow a line.
func (p publisherOf) do(t *testing.T, line string, values ...any) {
	t.Helper()
	if _, err := fmt.Fprintf(p.In, line+"\n", values...); err != nil {
		t.Fatal(err)
	}
	if answer, err := p.Out.ReadString('\n'); err != nil || answer != "done\n" {
		t.Fatalf(line+": got %q: %v", append(values, answer, err)...)
	}
}

// publish does so, and waits until calls have the resource. The last word of the line is the
// name of the service.
func (p publisherOf) publish(t *testing.T, line string) {
	t.Helper()
	defer keepAwake(t)()
	before := epoch(t)
	p.do(t, line)
	awaitName(t, p.PID(), line[strings.LastIndex(line, " ")+1:])
	harness.Eventually(t, limit, "processes look for their names", func() bool { return epoch(t) != before })
}

// keepAwake makes calls until it is ended: without any the receiver's control loop falls asleep,
// which changes the epoch too.
func keepAwake(t *testing.T) (end func()) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	called, stop, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer unix.Close(fd)
		for i := 0; ; i++ {
			_, _ = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
			if i == 1 { // with the first the loop may still have been falling asleep
				close(called)
			}
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	<-called
	return func() {
		close(stop)
		<-ended
	}
}

func checkResource(t *testing.T, got map[string]any, want map[string]any) {
	t.Helper()
	for key, value := range want {
		if !reflect.DeepEqual(got[key], value) {
			t.Errorf("%s is %v, want %v", key, got[key], value)
		}
	}
}

// named is the attributes that the publisher gives its service.
func named(name string) map[string]any {
	return map[string]any{
		semconv.ServiceName: name, semconv.ServiceNamespace: "50%", semconv.ServiceInstanceID: "of a program",
	}
}

func TestResource(t *testing.T) {
	executable := buildResource(t, "resource-test")
	environment := []string{"OTEL_SERVICE_NAME=by-environment", "OTEL_RESOURCE_ATTRIBUTES=team=a,other.1=b"}
	early := startResource(t, executable)
	early.do(t, "publish early")
	c := collect(t, "resource-test", nil)
	p := startResource(t, executable, environment...)
	inEnvironment := map[string]any{semconv.ServiceName: "by-environment", semconv.ServiceNamespace: nil}

	// A process that published before the receiver started.
	option := 10_000
	harness.Eventually(t, limit, "the name that was published before the start", func() bool {
		option++
		early.do(t, "call %d", option)
		return c.resource(t, option)[semconv.ServiceName] == "early"
	})
	checkResource(t, c.resource(t, option), named("early"))

	// Before the first call.
	p.publish(t, "publish shop")
	p.do(t, "call 9001")
	first := c.resource(t, 9001)
	checkResource(t, first, named("shop"))
	checkResource(t, first, map[string]any{
		"team": "a", "other.1": "b", semconv.ProcessPID: int64(p.PID()), semconv.ProcessExecutableName: "resource-test",
	})

	// Updates, and two that follow each other closely.
	p.do(t, "publish passing")
	p.publish(t, "publish shop2")
	p.do(t, "call 9002")
	checkResource(t, c.resource(t, 9002), named("shop2"))

	// A child has none until it publishes one.
	p.do(t, "fork 9003")
	checkResource(t, c.resource(t, 9003), inEnvironment)
	if _, err := fmt.Fprintln(p.In, "forked 9004 child"); err != nil {
		t.Fatal(err)
	}
	awaitName(t, childOf(t, p.PID()), "child")
	p.do(t, "")
	checkResource(t, c.resource(t, 9004), named("child"))
	p.do(t, "call 9005")
	checkResource(t, c.resource(t, 9005), named("shop2"))

	// What cannot be used changes nothing.
	p.publish(t, "unfinished shop3")
	p.do(t, "call 9006")
	checkResource(t, c.resource(t, 9006), named("shop3"))
	garbage := startResource(t, executable) // of its own: a process may have so many read
	garbage.publish(t, "publish whole")
	garbage.do(t, "garbage")
	garbage.do(t, "call 9007")
	checkResource(t, c.resource(t, 9007), named("whole"))

	// More than is used.
	p = startResource(t, executable, environment...)
	p.publish(t, "large first4k")
	p.do(t, "call 9008")
	large := c.resource(t, 9008)
	checkResource(t, large, named("first4k"))
	checkOthers(t, large, 4)
	p.publish(t, "many first64")
	p.do(t, "call 9009")
	many := c.resource(t, 9009)
	checkResource(t, many, named("first64"))
	checkOthers(t, many, 61)

	// All types, and the identity that the kernel knows.
	p.publish(t, "typed")
	p.do(t, "call 9010")
	typed := c.resource(t, 9010)
	checkResource(t, typed, named("typed"))
	checkResource(t, typed, map[string]any{
		"an.int": int64(3), "a.bool": true, "a.double": 0.5, "a.list": []any{"a"},
		semconv.ProcessPID: int64(p.PID()), semconv.ContainerID: first[semconv.ContainerID], "host.name": nil,
		semconv.K8SPodUID: first[semconv.K8SPodUID], "telemetry.sdk.name": nil,
	})

	// Another image of the process.
	p.do(t, "exec")
	p.do(t, "call 9011")
	checkResource(t, c.resource(t, 9011), inEnvironment)
	p.publish(t, "publish executed")
	p.do(t, "call 9012")
	checkResource(t, c.resource(t, 9012), named("executed"))

	c.end()
	for name, calls := range map[string]int64{
		"shop": 1, "shop2": 2, "child": 1, "shop3": 1, "whole": 1, "first4k": 1, "first64": 1, "typed": 1, "executed": 1,
	} {
		if got := c.callsOf(map[string]any{semconv.ServiceName: name, semconv.ServiceNamespace: "50%"}); got != calls {
			t.Errorf("metrics have %d calls of %s, want %d", got, name, calls)
		}
	}
	if got := c.callsOf(map[string]any{semconv.ServiceName: "by-environment"}); got != 2 {
		t.Errorf("metrics have %d calls of the environment's name, want 2", got)
	}
}

// checkOthers checks how many of the attributes other.N a resource has, each of which is whole.
func checkOthers(t *testing.T, got map[string]any, want int) {
	t.Helper()
	n := 0
	for key := range maps.Keys(got) {
		if len(key) > 6 && key[:6] == "other." {
			n++
		}
	}
	if n != want {
		t.Errorf("%d other attributes, want %d", n, want)
	}
}

// Programs that publish a page that blocks who reads it, and one that publishes without end,
// keep no other from being named, and make no call slower than it is.
func TestHostilePublishers(t *testing.T) {
	executable := buildResource(t, "resource-hostile")
	header, payload := startResource(t, executable), startResource(t, executable)
	header.do(t, "blocked header")
	payload.do(t, "blocked payload")
	c := collect(t, "resource-hostile", nil)
	header.do(t, "call 9001")
	payload.do(t, "call 9002")
	header.do(t, "blocked header")
	payload.do(t, "blocked payload")

	flood := startResource(t, executable)
	flooded := make(chan struct{})
	go func() {
		defer close(flooded)
		flood.do(t, "flood 100000")
	}()
	good := startResource(t, executable)
	good.publish(t, "publish good")
	good.do(t, "call 9003")
	checkResource(t, c.resource(t, 9003), named("good"))
	for i, p := range []publisherOf{header, payload} {
		p.do(t, "call %d", 9004+i)
		c.resource(t, 9004+i)
	}
	<-flooded
	option := 10_000
	harness.Eventually(t, limit, "the last name of the flood", func() bool {
		option++
		flood.do(t, "call %d", option)
		return c.resource(t, option)[semconv.ServiceName] == "flood99999"
	})
}

// Where no hook of prctl(2) can be had, processes are looked at.
func TestResourceWithoutNotices(t *testing.T) {
	executable := buildResource(t, "resource-scan")
	c := collect(t, "resource-scan", func(config *getsockoptreceiver.Config) { config.Hook = "raw_tracepoint" })
	p := startResource(t, executable)
	option := 9000
	for _, name := range []string{"before", "after"} {
		p.do(t, "publish "+name)
		harness.Eventually(t, limit, "the name "+name, func() bool {
			option++
			p.do(t, "call %d", option)
			return c.resource(t, option)[semconv.ServiceName] == name
		})
	}
}
