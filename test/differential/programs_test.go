// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// Programs that people run, as Debian has them. Each runs under strace, which
// also asks the kernel's socket diagnostics for the addresses, and under the
// receiver.

// executables are the names of the programs' files, some of which have several.
var executables = []string{"curl", "ssh*", "nginx", "node*", "python3*", "redis-*", "haproxy"}

// scene is where a test's programs run.
type scene struct {
	t   *testing.T
	dir string
	r   *receiver
	all []straceCall
	end []func()
}

// TestProgramsAgreeWithStrace compares each program's calls, and asks that there are some.
func TestProgramsAgreeWithStrace(t *testing.T) {
	for _, test := range []struct {
		name string
		play func(*scene)
		want map[string]int
		// calls the program is known to make, by the option's name
		options []string
	}{
		{"curl", (*scene).curl, map[string]int{counted: 2}, []string{"SO_ERROR"}},
		{"ssh and sshd", (*scene).ssh, map[string]int{counted: 3}, []string{"TCP_NODELAY"}},
		{"nginx", (*scene).nginx, map[string]int{counted: 3}, []string{"SO_ERROR", "TCP_INFO"}},
		{"node", (*scene).node, map[string]int{counted: 2}, []string{"SO_ERROR"}},
		{"python3", (*scene).python, map[string]int{counted: 20}, []string{"SO_ERROR", "SO_PEERCRED", "TCP_INFO", "TCP_CONGESTION"}},
		{"redis", (*scene).redis, map[string]int{counted: 2}, []string{"SO_ERROR"}},
		{"HAProxy", (*scene).haproxy, map[string]int{counted: 2}, []string{"TCP_INFO"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &scene{t: t, dir: t.TempDir(), r: watch(t, everything(), executables...)}
			// sshd lets go of its privileges, and its files must be in reach.
			if err := os.Chmod(s.dir, 0o755); err != nil {
				t.Fatal(err)
			}
			test.play(s)
			for i := len(s.end) - 1; i >= 0; i-- {
				s.end[i]()
			}
			c := newComparison(t)
			spans := s.r.finish(t)
			c.calls(s.all, spans)
			c.report()
			c.atLeast(test.want)
			seen := map[string]bool{}
			for _, l := range s.all {
				seen[strings.TrimSuffix(l.option, "_OLD")] = true
			}
			for _, name := range test.options {
				if !seen[name] {
					t.Errorf("no call for %s: the program does something else than it did", name)
				}
			}
		})
	}
}

// path finds a program.
func (s *scene) path(name string) string {
	s.t.Helper()
	for _, candidate := range []string{"/usr/sbin/" + name, "/usr/bin/" + name} {
		if _, err := os.Stat(candidate); err == nil {
			return candidate
		}
	}
	s.t.Fatalf("%s is missing: run hack/setup.sh, or `make test`, which does", name)
	return ""
}

// command is a program under strace.
func (s *scene) command(name string, args ...string) (c *exec.Cmd, done func()) {
	s.t.Helper()
	path := s.path(name)
	c, file := strace(s.t, true, &exec.Cmd{Path: path, Args: append([]string{path}, args...), Env: os.Environ(), Dir: s.dir})
	return c, func() { s.all = append(s.all, straced(s.t, file)...) }
}

// run runs a program to its end. Programs that are to fail may.
func (s *scene) run(mayFail bool, name string, args ...string) string {
	s.t.Helper()
	c, done := s.command(name, args...)
	out, err := c.CombinedOutput()
	if err != nil && !mayFail {
		s.t.Errorf("%s: %v\n%s", name, err, out)
	}
	done()
	return string(out)
}

// serve starts a server and waits until it listens. It is interrupted at the
// scene's end.
func (s *scene) serve(port int, name string, args ...string) {
	s.t.Helper()
	c, done := s.command(name, args...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Wait() // interrupted servers have statuses of their own
	}()
	stop := func() {
		if child := childOf(c.Process.Pid); child != 0 {
			_ = unix.Kill(child, unix.SIGTERM) // it may be gone by now
		}
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			_ = c.Process.Kill()
			<-ended
			s.t.Errorf("%s does not end:\n%s", name, &out)
		}
		done()
	}
	for deadline := time.Now().Add(30 * time.Second); !listens(port); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			stop()
			s.t.Fatalf("%s does not listen:\n%s", name, &out)
		}
	}
	s.end = append(s.end, stop)
}

// listens reports whether a port is in the kernel's table of listening sockets. A
// connection would be one more client.
func listens(port int) bool {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return false
	}
	return strings.Contains(string(table), fmt.Sprintf(" 0100007F:%04X 00000000:0000 0A ", port))
}

// childOf is the one child of a process.
func childOf(pid int) int {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		_, after, _ := strings.Cut(string(b), ") ")
		if fields := strings.Fields(after); len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			return child
		}
	}
	return 0
}

// port is one that nobody listens on now.
func (s *scene) port() int {
	s.t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (s *scene) write(name, format string, args ...any) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, fmt.Appendf(nil, format, args...), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// page serves one page to clients, from this process.
func (s *scene) page() int {
	s.t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = c.Write([]byte("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"))
			_ = c.Close()
		}
	}()
	s.end = append(s.end, func() { l.Close(); <-done })
	return l.Addr().(*net.TCPAddr).Port
}

func (s *scene) curl() {
	page := s.page()
	s.run(false, "curl", "-sS", "-o", "/dev/null", fmt.Sprintf("http://127.0.0.1:%d/", page))
	s.run(true, "curl", "-sS", "-m", "5", fmt.Sprintf("http://127.0.0.1:%d/", s.port()))
	s.run(true, "curl", "-sS", "-m", "5", fmt.Sprintf("http://[::1]:%d/", s.port()))
}

func (s *scene) ssh() {
	// sshd refuses to start without the folder of its package.
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		s.t.Fatal(err)
	}
	for _, key := range []string{"host", "user"} {
		if out, err := exec.Command(s.path("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(s.dir, key)).CombinedOutput(); err != nil {
			s.t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	port := s.port()
	config := s.write("sshd_config", `ListenAddress 127.0.0.1
Port %d
HostKey %s/host
AuthorizedKeysFile %s/user.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
`, port, s.dir, s.dir)
	s.serve(port, "sshd", "-D", "-e", "-f", config)
	s.run(false, "ssh", "-F", "none", "-i", filepath.Join(s.dir, "user"), "-p", strconv.Itoa(port), "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "root@127.0.0.1", "true")
	s.run(false, "ssh-keyscan", "-T", "5", "-p", strconv.Itoa(port), "127.0.0.1")
}

func (s *scene) nginx() {
	port := s.port()
	config := s.write("nginx.conf", `daemon off;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c;
	uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
	server {
		listen 127.0.0.1:%[2]d;
		location /info { return 200 "$tcpinfo_rtt $tcpinfo_snd_cwnd\n"; }
		location /good { proxy_pass http://127.0.0.1:%[3]d/; }
		location /bad { proxy_pass http://127.0.0.1:%[4]d/; }
	}
}
`, s.dir, port, s.page(), s.port())
	s.serve(port, "nginx", "-c", config, "-p", s.dir)
	for _, location := range []string{"info", "good", "bad"} {
		s.run(false, "curl", "-sS", "-o", "/dev/null", fmt.Sprintf("http://127.0.0.1:%d/%s", port, location))
	}
}

func (s *scene) node() {
	script := s.write("calls.js", `
const net = require('net'), fs = require('fs');
const path = %q;
const server = net.createServer(c => c.end('ok')).listen(0, '127.0.0.1', () => {
	net.connect(server.address().port, '127.0.0.1', function () { this.setNoDelay(true); this.setKeepAlive(true); })
		.resume().on('close', () => {
			net.connect(%d, '127.0.0.1').on('error', () => {
				server.close();
				const local = net.createServer(c => c.end()).listen(path, () =>
					net.connect(path).resume().on('close', () => local.close()));
			});
		});
});
`, filepath.Join(s.dir, "node.sock"), s.port())
	s.run(false, "node", script)
}

func (s *scene) python() {
	script := s.write("calls.py", `
import asyncio, socket, struct
def ask(s, level, *options):
    for o in options:
        try:
            s.getsockopt(level, o, 256)
        except OSError:
            pass
pair = socket.socketpair()
ask(pair[0], socket.SOL_SOCKET, socket.SO_PEERCRED, socket.SO_TYPE, socket.SO_DOMAIN, socket.SO_PROTOCOL, socket.SO_SNDBUF)
path = %q
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
client = socket.socket(socket.AF_UNIX)
client.connect(path)
accepted, _ = listener.accept()
for s in listener, client, accepted:
    ask(s, socket.SOL_SOCKET, socket.SO_PEERCRED, socket.SO_ACCEPTCONN, socket.SO_ERROR)
abstract = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
abstract.bind("\0differential")
ask(abstract, socket.SOL_SOCKET, socket.SO_TYPE)
for family, host in (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"):
    server = socket.create_server((host, 0), family=family)
    s = socket.create_connection(server.getsockname()[:2])
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5))
    s.settimeout(1.5)
    ask(s, socket.SOL_SOCKET, socket.SO_LINGER, socket.SO_RCVTIMEO, socket.SO_RCVBUF, socket.SO_ERROR, socket.SO_BINDTODEVICE)
    ask(s, socket.IPPROTO_TCP, socket.TCP_INFO, socket.TCP_CONGESTION, socket.TCP_MAXSEG, socket.TCP_NODELAY)
async def refused():
    try:
        await asyncio.open_connection("127.0.0.1", %d)
    except OSError:
        pass
asyncio.run(refused())
`, filepath.Join(s.dir, "python.sock"), s.port())
	s.run(false, "python3", script)
}

func (s *scene) redis() {
	port := s.port()
	log := filepath.Join(s.dir, "redis.log")
	s.serve(port, "redis-server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--dir", s.dir, "--logfile", log,
		"--unixsocket", filepath.Join(s.dir, "redis.sock"))
	s.run(false, "redis-cli", "-p", strconv.Itoa(port), "ping")
	s.run(false, "redis-cli", "-s", filepath.Join(s.dir, "redis.sock"), "ping")
	s.run(true, "redis-cli", "-p", strconv.Itoa(s.port()), "ping")
	// A replica of nobody learns from SO_ERROR that nobody is there.
	s.run(false, "redis-cli", "-p", strconv.Itoa(port), "replicaof", "127.0.0.1", strconv.Itoa(s.port()))
	harness.Eventually(s.t, 30*time.Second, "the replica learns that nobody is there", func() bool {
		b, err := os.ReadFile(log)
		return err == nil && bytes.Contains(b, []byte("Error condition on socket for SYNC"))
	})
}

func (s *scene) haproxy() {
	port := s.port()
	config := s.write("haproxy.cfg", `defaults
	mode http
	timeout connect 5s
	timeout client 5s
	timeout server 5s
	retries 0
frontend in
	bind 127.0.0.1:%d
	http-response set-header X-RTT %%[fc_rtt]
	use_backend bad if { path /bad }
	default_backend good
backend good
	server good 127.0.0.1:%d
backend bad
	server bad 127.0.0.1:%d
`, port, s.page(), s.port())
	s.serve(port, "haproxy", "-db", "-f", config)
	for _, location := range []string{"", "bad"} {
		s.run(false, "curl", "-sS", "-o", "/dev/null", fmt.Sprintf("http://127.0.0.1:%d/%s", port, location))
	}
}
