// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// What a span reports of the socket behind a call, against what the program, ss
// and /proc know of it.

// The programs use package syscall where x/sys would make a getsockopt call of
// its own, to learn a socket's protocol.

// name is a socket's own address, ready to connect to.
func name(fd int) unix.Sockaddr {
	address, err := syscall.Getsockname(fd)
	must(err)
	return converted(address)
}

func converted(address syscall.Sockaddr) unix.Sockaddr {
	switch a := address.(type) {
	case *syscall.SockaddrInet4:
		return &unix.SockaddrInet4{Addr: a.Addr, Port: a.Port}
	case *syscall.SockaddrInet6:
		return &unix.SockaddrInet6{Addr: a.Addr, Port: a.Port, ZoneId: a.ZoneId}
	case *syscall.SockaddrUnix:
		return &unix.SockaddrUnix{Name: a.Name}
	}
	panic(fmt.Sprintf("unknown address %T", address))
}

// addrPort is an internet address as spans have it.
func addrPort(address unix.Sockaddr) netip.AddrPort {
	switch a := address.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	panic(fmt.Sprintf("unknown address %T", address))
}

// end is a fact of one end of a socket.
func end(which string, address netip.AddrPort) fact {
	f := fact{"network." + which + ".address": address.Addr().String(), "network." + which + ".port": int(address.Port())}
	if address.Port() == 0 {
		f["network."+which+".port"] = nil
	}
	return f
}

func nobody(which string) fact {
	return fact{"network." + which + ".address": nil, "network." + which + ".port": nil}
}

// accept takes a connection.
func accept(listener int) int {
	fd, _, err := syscall.Accept(listener)
	must(err)
	return fd
}

func listen(family, protocol int) (fd int, address unix.Sockaddr) {
	fd = socket(family, unix.SOCK_STREAM, protocol)
	must(unix.Bind(fd, loopback(family, 0)))
	must(unix.Listen(fd, 8))
	return fd, name(fd)
}

// inode is the number of a namespace, from /proc.
func inode(path string) int {
	link, err := os.Readlink(path)
	must(err)
	_, number, _ := strings.Cut(strings.TrimSuffix(link, "]"), "[")
	n, err := strconv.Atoi(number)
	must(err)
	return n
}

// await waits until a condition holds.
func await(what string, holds func() bool) {
	must(harness.Await(10*time.Second, func() error {
		if holds() {
			return nil
		}
		return errors.New(what)
	}))
}

// tcpProgram compares a connection that has carried bytes with ss.
func tcpProgram() {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		listener, address := listen(family, 0)
		client := socket(family, unix.SOCK_STREAM, 0)
		must(unix.Connect(client, address))
		server := accept(listener)
		for _, pair := range [][2]int{{client, server}, {server, client}} {
			_, err := unix.Write(pair[0], make([]byte, 5000))
			must(err)
			_, err = unix.Read(pair[1], make([]byte, 5000))
			must(err)
		}
		local, peer := addrPort(name(client)), addrPort(address)
		connection := func(from, to netip.AddrPort) string {
			return output("ss", "-Htineo", "src", from.String(), "and", "dst", to.String())
		}
		await("all is acknowledged", func() bool {
			return !strings.Contains(connection(local, peer)+connection(peer, local), "unacked:")
		})
		ss := connection(local, peer)
		of := func(pattern string) []string {
			m := regexp.MustCompile(pattern).FindStringSubmatch(ss)
			if m == nil {
				must(fmt.Errorf("ss does not report %s: %s", pattern, ss))
			}
			return m[1:]
		}
		cookie, err := strconv.ParseUint(of(`\bsk:([0-9a-f]+)`)[0], 16, 64)
		must(err)
		rtt := of(`\brtt:([\d.]+)/([\d.]+)`)
		both := fact{
			"socket.cookie": strconv.FormatUint(cookie, 10), "socket.state": "ESTABLISHED", "network.transport": "tcp",
			"socket.network_namespace": inode("/proc/self/ns/net"), "status": statusUnset,
		}.with(end("local", local)).with(end("peer", peer))
		mustAsk(client, unix.SOL_TCP, unix.TCP_INFO, 512)
		expect(both.with(fact{
			"name": "getsockopt TCP_INFO",
			"socket.option.value~": fmt.Sprintf(`^\{state=ESTABLISHED, retransmits=0, rtt=%s, rttvar=%s, snd_cwnd=%s, total_retrans=0, delivery_rate=`,
				regexp.QuoteMeta(duration(rtt[0])), regexp.QuoteMeta(duration(rtt[1])), of(`\bcwnd:(\d+)`)[0]),
			"tcp.info.state": "ESTABLISHED", "tcp.info.rtt_us": micros(rtt[0]), "tcp.info.rttvar_us": micros(rtt[1]),
			"tcp.info.snd_cwnd": number(of(`\bcwnd:(\d+)`)[0]), "tcp.info.snd_mss": number(of(`\bmss:(\d+)`)[0]),
			"tcp.info.pmtu": number(of(`\bpmtu:(\d+)`)[0]), "tcp.info.bytes_sent": 5000, "tcp.info.bytes_received": 5000,
			"tcp.info.segs_out": number(of(`\bsegs_out:(\d+)`)[0]), "tcp.info.segs_in": number(of(`\bsegs_in:(\d+)`)[0]),
		}))
		mustAsk(client, unix.SOL_SOCKET, unix.SO_COOKIE, 8)
		expect(both.with(fact{"socket.option.value": strconv.FormatUint(cookie, 10), "socket.option.value_int": int(cookie)}))
		mustAsk(client, unix.SOL_TCP, unix.TCP_CONGESTION, 16)
		expect(both.with(fact{"socket.option.value": of(`\b(bbr|cubic|reno|[a-z]+) wscale:`)[0]}))
		mustAsk(client, unix.SOL_SOCKET, unix.SO_PEERNAME, map[int]int{unix.AF_INET: 16, unix.AF_INET6: 28}[family])
		expect(both.with(fact{"socket.option.value": peer.String()}))
		mustAsk(server, unix.SOL_SOCKET, unix.SO_TYPE, 4)
		expect(fact{"socket.state": "ESTABLISHED"}.with(end("local", peer)).with(end("peer", local)))
	}
}

// duration and micros read what ss writes in milliseconds.
func duration(milliseconds string) string {
	return (time.Duration(micros(milliseconds)) * time.Microsecond).String()
}

func micros(milliseconds string) int {
	f, err := strconv.ParseFloat(milliseconds, 64)
	must(err)
	return int(f*1000 + 0.5)
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	must(err)
	return n
}

func TestConnectionAgreesWithSS(t *testing.T) {
	s := everything()
	s.traces.Expand = map[string]bool{"TCP_INFO": true}
	observe(t, s, "tcp")
}

// statesProgram brings sockets into each state that a descriptor can have, and compares
// with ss.
func statesProgram() {
	ask := func(fd int, state string) {
		mustAsk(fd, unix.SOL_TCP, unix.TCP_INFO, 512)
		expect(fact{"socket.state": state, "socket.option.value~": `^\{state=` + state + `, `})
	}
	stateOf := func(port uint16) string {
		fields := strings.Fields(output("ss", "-Htan", fmt.Sprintf("sport = :%d", port)))
		if len(fields) == 0 {
			must(fmt.Errorf("ss does not know port %d", port))
		}
		return fields[0]
	}
	byPort := func(fd int) {
		found := stateOf(addrPort(name(fd)).Port())
		state := map[string]string{"ESTAB": "ESTABLISHED", "FIN-WAIT-1": "FIN_WAIT1", "FIN-WAIT-2": "FIN_WAIT2"}[found]
		if state == "" {
			state = strings.ReplaceAll(found, "-", "_")
		}
		ask(fd, state)
	}
	fresh := socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	ask(fresh, "CLOSE")
	listener := socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(unix.Bind(listener, loopback(unix.AF_INET, 0)))
	must(unix.Listen(listener, 0))
	// The one place in the queue is taken, so that a second connection waits.
	first := socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(unix.Connect(first, name(listener)))
	waiting := socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	mustBe(unix.Connect(waiting, name(listener)), unix.EINPROGRESS)
	byPort(waiting)
	byPort(first)
	port := addrPort(name(first)).Port()
	must(unix.Shutdown(first, unix.SHUT_WR))
	await("the end is acknowledged", func() bool { return stateOf(port) == "FIN-WAIT-2" })
	byPort(first)
	server := accept(listener)
	ask(server, "CLOSE_WAIT") // its port is the listener's as well
	ask(listener, "LISTEN")
	must(unix.Close(server))
	// The kernel keeps the port, and no longer for the descriptor.
	await("the other end is closed", func() bool { return stateOf(port) == "TIME-WAIT" })
	ask(first, "CLOSE")
}

func TestTCPStates(t *testing.T) {
	var seen []string
	for _, s := range observe(t, everything(), "states") {
		seen = append(seen, fmt.Sprint(s.attributes["socket.state"]))
	}
	want := []string{"CLOSE", "SYN_SENT", "ESTABLISHED", "FIN_WAIT2", "CLOSE_WAIT", "LISTEN", "CLOSE"}
	if !slices.Equal(seen, want) {
		t.Errorf("%v, want %v", seen, want)
	}
}

// credentialsProgram compares the credentials of its peer with /proc.
func credentialsProgram() {
	address := fmt.Sprintf("@differential-%d", os.Getpid())
	listener := socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(unix.Bind(listener, &unix.SockaddrUnix{Name: address}))
	must(unix.Listen(listener, 1))
	client, err := os.StartProcess("/proc/self/exe", []string{"connect"}, &os.ProcAttr{
		Env: []string{variable + "=connect", "ADDRESS=" + address}, Files: []*os.File{nil, nil, os.Stderr},
	})
	must(err)
	fd := accept(listener)
	_, err = unix.Read(fd, make([]byte, 1)) // it has changed its credentials
	must(err)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", client.Pid))
	must(err)
	of := func(key string) []string {
		m := regexp.MustCompile(`(?m)^` + key + `:(.*)$`).FindSubmatch(status)
		return strings.Fields(string(m[1]))
	}
	mustAsk(fd, unix.SOL_SOCKET, unix.SO_PEERCRED, 12)
	expect(fact{
		"socket.option.value":      fmt.Sprintf("{pid=%d, uid=%s, gid=%s}", client.Pid, of("Uid")[1], of("Gid")[1]),
		"socket.family":            "AF_UNIX",
		"network.transport":        "unix",
		"network.type":             nil,
		"socket.option.length_out": 12,
	}.with(fact{"network.local.address": address}))
	mustAsk(fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS, 64)
	expect(fact{"socket.option.value": "[" + strings.Join(of("Groups"), ", ") + "]"})
	// Too short: the kernel returns how much it takes, and fails.
	_, errno := ask(fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS, 4)
	mustBe(errno, unix.ERANGE)
	expect(fact{
		"error.type": "ERANGE", "status": statusError, "syscall.return_value": -int(unix.ERANGE), "socket.option.value": nil,
		"socket.option.length_in": 4, "socket.option.length_out": 4 * len(of("Groups")),
	})
	must(unix.Close(fd))
	_, err = client.Wait()
	must(err)
}

// connectProgram is the peer, as another user. It ends when it has received a byte.
func connectProgram() {
	must(syscall.Setgroups([]int{11, 22, 33}))
	must(syscall.Setgid(1234))
	must(syscall.Setuid(4321))
	fd := socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(unix.Connect(fd, &unix.SockaddrUnix{Name: os.Getenv("ADDRESS")}))
	_, err := unix.Write(fd, []byte{1})
	must(err)
	_, err = unix.Read(fd, make([]byte, 1))
	must(err)
}

func TestCredentialsAgreeWithProc(t *testing.T) { observe(t, everything(), "credentials") }

// originalProgram redirects connections in its own network namespace, and reads their
// original destinations.
func originalProgram() {
	const port = 8888
	for _, line := range []string{
		"link set lo up", "address add 10.9.8.7/32 dev lo", "address add fd00:9::7/128 dev lo nodad",
	} {
		output("ip", strings.Fields(line)...)
	}
	output("nft", fmt.Sprintf(`table inet redirected { chain output {
		type nat hook output priority -100; tcp dport 7777 redirect to :%d; }; }`, port))
	for _, test := range []struct {
		family, level int
		name          string
		going, listen unix.Sockaddr
	}{
		{
			unix.AF_INET, unix.SOL_IP, "SO_ORIGINAL_DST",
			&unix.SockaddrInet4{Addr: [4]byte{10, 9, 8, 7}, Port: 7777}, &unix.SockaddrInet4{Port: port},
		},
		{
			unix.AF_INET6, unix.SOL_IPV6, "IP6T_SO_ORIGINAL_DST",
			&unix.SockaddrInet6{Addr: [16]byte{0xfd, 0, 0, 9, 15: 7}, Port: 7777}, &unix.SockaddrInet6{Port: port},
		},
	} {
		listener := socket(test.family, unix.SOCK_STREAM, 0)
		must(unix.SetsockoptInt(listener, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
		must(unix.Bind(listener, test.listen))
		must(unix.Listen(listener, 1))
		client := socket(test.family, unix.SOCK_STREAM, 0)
		must(unix.Connect(client, test.going))
		server := accept(listener)
		const original = 80 // the same number at both levels
		mustAsk(server, test.level, original, 28)
		expect(fact{
			"socket.option.name": test.name, "socket.option.value": addrPort(test.going).String(), "network.local.port": port,
			"socket.network_namespace": inode("/proc/self/ns/net"),
		}.with(end("peer", addrPort(name(client)))))
		must(unix.Close(listener))
	}
}

func TestOriginalDestination(t *testing.T) {
	r := watch(t, everything())
	c := program(t, "original")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	known := run(t, c)
	compareFacts(t, of(r.finish(t), c.Process.Pid), known)
}
