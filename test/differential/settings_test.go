// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/metrics"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// wrongAnswersProgram makes the calls that other tracers are known to get
// wrong: names that ignore the level, strings read as integers.
func wrongAnswersProgram() {
	tcp, _ := connected(unix.AF_INET, 0)()
	tcp6 := socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
	udp := socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	local, err := pair(unix.SOCK_STREAM)()
	must(err)
	netlink := socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
	must(unix.SetsockoptString(tcp, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "lo"))
	must(unix.SetsockoptTimeval(tcp, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1, Usec: 500000}))
	for _, test := range []struct {
		fd, level, option int
		name              string
		want              fact
	}{
		// One number, 11, at four levels; then 26 at four.
		{tcp, unix.SOL_TCP, 11, "TCP_INFO", fact{"socket.option.value~": `^\{state=ESTABLISHED, `, "socket.option.value_int": nil}},
		{udp, unix.SOL_SOCKET, 11, "SO_NO_CHECK", fact{"socket.option.value": "0"}},
		{udp, unix.SOL_IP, 11, "IP_RECVERR", fact{"socket.option.value": "0"}},
		{tcp6, unix.SOL_IPV6, 11, "IPV6_FLOWINFO", nil},
		{tcp, unix.SOL_SOCKET, 26, "SO_GET_FILTER", nil},
		{tcp, unix.SOL_IP, 26, "IP_RECVERR_RFC4884", nil},
		{tcp, unix.SOL_TCP, 26, "TCP_CC_INFO", nil},
		{tcp6, unix.SOL_IPV6, 26, "IPV6_V6ONLY", fact{"socket.option.value": "0"}},
		// Strings.
		{tcp, unix.SOL_TCP, unix.TCP_CONGESTION, "TCP_CONGESTION", fact{"socket.option.value~": `^[a-z]+$`, "socket.option.value_int": nil}},
		{tcp, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "SO_BINDTODEVICE", fact{"socket.option.value": "lo", "socket.option.value_int": nil}},
		// Structures.
		{local, unix.SOL_SOCKET, unix.SO_PEERCRED, "SO_PEERCRED", fact{
			"socket.option.value": fmt.Sprintf("{pid=%d, uid=%d, gid=%d}", os.Getpid(), os.Getuid(), os.Getgid()),
		}},
		{tcp, unix.SOL_SOCKET, unix.SO_RCVTIMEO, "SO_RCVTIMEO", fact{"socket.option.value": "1.5s"}},
		// Tables of iptables, which are options of level IP from 64 on.
		{tcp, unix.SOL_IP, 64, "IPT_SO_GET_INFO", nil},
		{tcp6, unix.SOL_IPV6, 64, "IP6T_SO_GET_INFO", nil},
		{tcp, unix.SOL_IP, 80, "SO_ORIGINAL_DST", nil},
		{tcp6, unix.SOL_IPV6, 80, "IP6T_SO_ORIGINAL_DST", nil},
		// A number that means something else to each family.
		{netlink, unix.SOL_SOCKET, unix.SO_PROTOCOL, "SO_PROTOCOL", fact{"socket.option.value": "NETLINK_ROUTE"}},
		{udp, unix.SOL_SOCKET, unix.SO_PROTOCOL, "SO_PROTOCOL", fact{"socket.option.value": "IPPROTO_UDP"}},
	} {
		ask(test.fd, test.level, test.option, 512)
		expect(test.want.with(fact{"name": "getsockopt " + test.name, "socket.option.name": test.name}))
	}
}

func TestAmbiguousOptions(t *testing.T) { observe(t, everything(), "wrong answers") }

// valuesProgram makes one call of each kind that the settings of values concern. The
// expected results are in its environment.
func valuesProgram() {
	fd := socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(unix.SetsockoptString(fd, unix.SOL_TCP, unix.TCP_CONGESTION, "reno"))
	must(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEEK_OFF, -1))
	must(unix.SetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, 1<<40+7))
	broken, going := refused(unix.AF_INET, unix.SOCK_STREAM, 0, false)
	const congestion, info, kind, peek, rate, pending = 0, 1, 2, 3, 4, 5
	const whole = "{state=CLOSE, retransmits=0, rtt=0s, rttvar=250ms, snd_cwnd=10, total_retrans=0, delivery_rate=0}"
	want := map[string][]any{ // the value of each call in their order
		"all":      {"reno", whole, "SOCK_STREAM", "-1", fmt.Sprint(1<<40 + 7), "ECONNREFUSED"},
		"none":     {nil, nil, nil, nil, nil, nil},
		"8 bytes":  {"reno", "{state=CLOSE, retransmits=0}", "SOCK_STREAM", "-1", fmt.Sprint(1<<40 + 7), "ECONNREFUSED"},
		"4 bytes":  {"reno…(cut)", "{state=CLOSE, retransmits=0}", "SOCK_STREAM", "-1", nil, "ECONNREFUSED"},
		"3 bytes":  {"ren…(cut)", "{state=CLOSE, retransmits=0}", nil, nil, nil, nil},
		"1 byte":   {"r…(cut)", "{state=CLOSE}", nil, nil, nil, nil},
		"unmarked": {"reno", whole, "SOCK_STREAM", "-1", fmt.Sprint(1<<40 + 7), "ECONNREFUSED"},
	}[os.Getenv("WANT")]
	for i, test := range []struct {
		fd, level, option, size int
	}{
		congestion: {fd, unix.SOL_TCP, unix.TCP_CONGESTION, 16},
		info:       {fd, unix.SOL_TCP, unix.TCP_INFO, 168},
		kind:       {fd, unix.SOL_SOCKET, unix.SO_TYPE, 4},
		peek:       {fd, unix.SOL_SOCKET, unix.SO_PEEK_OFF, 4},
		rate:       {fd, unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, 8},
		pending:    {broken, unix.SOL_SOCKET, unix.SO_ERROR, 4},
	} {
		mustAsk(test.fd, test.level, test.option, test.size)
		f := fact{
			"socket.option.value": want[i], "socket.option.length_in": test.size, "socket.option.length_out": test.size,
			"error.type": nil, "status": statusUnset,
		}
		if want[i] == nil {
			f["socket.option.value_int"] = nil
		}
		if i == pending { // however little of the value is reported
			f = f.with(fact{"error.type": "ECONNREFUSED", "status": statusError}).with(end("peer", addrPort(going)))
			if os.Getenv("WANT") == "unmarked" {
				f["status"] = statusUnset
			}
		}
		expect(f)
	}
}

// values.enabled, values.max_length and spans.pending_error_status.
func TestValueSettings(t *testing.T) {
	for name, change := range map[string]func(*settings){
		"all":      func(*settings) {},
		"none":     func(s *settings) { s.probe.ValuesEnabled, s.traces.ValuesEnabled = false, false },
		"8 bytes":  func(s *settings) { s.probe.ValueMaxLength = 8 },
		"4 bytes":  func(s *settings) { s.probe.ValueMaxLength = 4 },
		"3 bytes":  func(s *settings) { s.probe.ValueMaxLength = 3 },
		"1 byte":   func(s *settings) { s.probe.ValueMaxLength = 1 },
		"unmarked": func(s *settings) { s.traces.PendingErrorStatus = false },
	} {
		t.Run(name, func(t *testing.T) {
			s := everything()
			change(&s)
			r := watch(t, s)
			c := program(t, "values", "WANT="+name)
			known := run(t, c)
			compareFacts(t, of(r.finish(t), c.Process.Pid), known)
			if copied := r.copied != 0; copied != s.probe.ValuesEnabled {
				t.Errorf("%d bytes of values left the kernel", r.copied)
			}
		})
	}
}

// errorsProgram causes the number of errors that is in its environment.
func errorsProgram() {
	var refusals, resets int
	_, err := fmt.Sscan(os.Getenv("ERRORS"), &refusals, &resets)
	must(err)
	for range refusals {
		fd, _ := refused(unix.AF_INET, unix.SOCK_STREAM, 0, false)
		mustAsk(fd, unix.SOL_SOCKET, unix.SO_ERROR, 4)
		mustAsk(fd, unix.SOL_SOCKET, unix.SO_ERROR, 4) // no error any more
	}
	for range resets {
		listener, address := listen(unix.AF_INET6, 0)
		fd := socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
		must(unix.Connect(fd, address))
		server := accept(listener)
		must(unix.SetsockoptLinger(server, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
		must(unix.Close(server))
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}, 5000)
		must(err)
		mustAsk(fd, unix.SOL_SOCKET, unix.SO_ERROR, 4)
		ask(fd, unix.SOL_TCP, 9999, 4) // a failed call is another matter
		ask(-1, unix.SOL_SOCKET, unix.SO_ERROR, 4)
	}
}

// TestErrorsByErrnoAndService counts the errors of two services, as the
// receiver's metrics have them.
func TestErrorsByErrnoAndService(t *testing.T) {
	r := watch(t, everything())
	want := map[string]map[string]int64{
		"differential-a": {"ECONNREFUSED": 3, "ECONNRESET": 2},
		"differential-b": {"ECONNREFUSED": 1, "ECONNRESET": 4},
	}
	for service, errors := range want {
		run(t, program(t, "errors", "OTEL_SERVICE_NAME="+service, fmt.Sprintf("ERRORS=%d %d", errors["ECONNREFUSED"], errors["ECONNRESET"])))
	}
	r.finish(t)
	builder := metrics.New(metrics.Options{
		Start: time.Now(), Enabled: metrics.Enabled{Calls: true, Duration: true, Errors: true},
		Resource: workload.NewGroups(workload.NewProcfs("/proc"), time.Now).Resource,
	})
	builder.Add(&r.counted, 0)
	got := errorsByService(builder.Build(nil, time.Now())[0].Metrics)
	for service, errors := range want {
		if fmt.Sprint(got[service]) != fmt.Sprint(errors) {
			t.Errorf("%s: %v, want %v", service, got[service], errors)
		}
	}
}

func errorsByService(m pmetric.Metrics) map[string]map[string]int64 {
	all := map[string]map[string]int64{}
	for _, rm := range m.ResourceMetrics().All() {
		service, _ := rm.Resource().Attributes().Get("service.name")
		for _, metric := range rm.ScopeMetrics().At(0).Metrics().All() {
			if metric.Name() != "socket.errors" {
				continue
			}
			of := map[string]int64{}
			for _, p := range metric.Sum().DataPoints().All() {
				errorType, _ := p.Attributes().Get("error.type")
				of[errorType.Str()] += p.IntValue()
			}
			all[service.Str()] = of
		}
	}
	return all
}
