// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Names of modes that ratios are to.
const (
	peerHistogram = "bpftrace, histogram and counter"
	peerPrintf    = "bpftrace, a line a call"
	peerStrace    = "strace -T"
)

// What an operator would write to get the same in-kernel aggregation.
const histogramScript = `
tracepoint:syscalls:sys_enter_getsockopt { @call[tid] = (nsecs, args->level, args->optname); }
tracepoint:syscalls:sys_exit_getsockopt /@call[tid].0/ {
	@ns[comm, @call[tid].1, @call[tid].2] = hist(nsecs - @call[tid].0);
	@calls[comm, @call[tid].1, @call[tid].2] = count();
	delete(@call[tid]);
}
END { clear(@call); clear(@ns); }`

const printfScript = `
tracepoint:syscalls:sys_enter_getsockopt { @call[tid] = (nsecs, args->level, args->optname); }
tracepoint:syscalls:sys_exit_getsockopt /@call[tid].0/ {
	printf("%s %d %d %d %d %d\n", comm, tid, @call[tid].1, @call[tid].2, args->ret, nsecs - @call[tid].0);
	delete(@call[tid]);
}
END { clear(@call); }`

// peer is another program that traces getsockopt.
type peer struct {
	command []string
	pid     bool                // takes the load's process as its last argument
	seen    func([]byte) uint64 // counts calls in its output
	lost    *regexp.Regexp      // finds how many it reports as lost
}

func peerModes() []mode {
	var modes []mode
	for _, p := range []struct {
		name  string
		batch int
		peer
	}{
		{peerHistogram, batchCalls, peer{command: []string{"bpftrace", "-e", histogramScript}, seen: countedCalls}},
		{peerPrintf, batchSlowCalls, peer{
			command: []string{"bpftrace", "-e", printfScript}, seen: linesWith(loadName + " "),
			lost: regexp.MustCompile(`Lost (\d+) events`),
		}},
		{"perf trace", batchSlowCalls, peer{
			command: []string{"perf", "trace", "-e", "getsockopt", "-p"}, pid: true, seen: linesWith("getsockopt("),
			lost: regexp.MustCompile(`LOST (\d+) events!`),
		}},
		{peerStrace, batchSlowCalls, peer{
			command: []string{"strace", "-T", "-f", "-e", "trace=getsockopt", "-p"}, pid: true, seen: linesWith("getsockopt("),
		}},
	} {
		if _, err := exec.LookPath(p.command[0]); err != nil {
			fmt.Printf("%s is not measured: %v\n", p.name, err)
			continue
		}
		modes = append(modes, mode{name: p.name, batch: p.batch, start: p.start})
	}
	return modes
}

// loadName is the load's comm: it is started through /proc/self/exe.
const loadName = "exe"

func linesWith(what string) func([]byte) uint64 {
	return func(output []byte) uint64 { return uint64(bytes.Count(output, []byte(what))) }
}

var countedPattern = regexp.MustCompile(`@calls\[` + loadName + `, .*\]: (\d+)`)

func countedCalls(output []byte) (n uint64) {
	for _, m := range countedPattern.FindAllSubmatch(output, -1) {
		some, _ := strconv.ParseUint(string(m[1]), 10, 64)
		n += some
	}
	return n
}

// runningPeer is a peer that runs. It writes to a file: with a pipe it would wait for
// this process.
type runningPeer struct {
	peer
	cmd    *exec.Cmd
	output *os.File
}

func (p peer) start(ctx context.Context, w *worker) (watcher, error) {
	output, err := os.CreateTemp("", "getsockopt-bench-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(output.Name()); err != nil {
		return nil, errors.Join(err, output.Close())
	}
	arguments := p.command[1:]
	if p.pid {
		arguments = append(arguments[:len(arguments):len(arguments)], strconv.Itoa(w.PID()))
	}
	c := exec.CommandContext(ctx, p.command[0], arguments...)
	c.Stdout, c.Stderr = output, output
	if err := c.Start(); err != nil {
		return nil, errors.Join(err, output.Close())
	}
	return &runningPeer{peer: p, cmd: c, output: output}, nil
}

// settle makes calls until one takes longer than it could without the peer:
// every peer needs its own time to begin, and does not report when it has.
func (r *runningPeer) settle(w *worker) error {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		state, err := tracing(r.cmd.Process.Pid, w.PID())
		if err != nil {
			return err
		}
		if state {
			time.Sleep(200 * time.Millisecond)
			_, err := w.do(order{name: loadType, batches: 1, calls: batchSlowCalls})
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("%s did not begin", r.command[0])
}

// tracing reports whether a peer has attached itself: to the load, as its tracer,
// or to the system, by a perf event or a BPF program in its descriptors.
func tracing(peer, load int) (bool, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", load))
	if err != nil {
		return false, err
	}
	if strings.Contains(string(status), fmt.Sprintf("TracerPid:\t%d\n", peer)) {
		return true, nil
	}
	folder := fmt.Sprintf("/proc/%d/fd", peer)
	fds, err := os.ReadDir(folder)
	if err != nil {
		return false, fmt.Errorf("it has ended: %w", err)
	}
	events := 0
	for _, fd := range fds {
		if to, err := os.Readlink(folder + "/" + fd.Name()); err == nil && to == "anon_inode:[perf_event]" {
			events++
		}
	}
	return events >= 2, nil
}

func (r *runningPeer) rest() error { return r.wrote() }

func (r *runningPeer) stop() (s saw, err error) {
	defer r.output.Close()
	if err := r.wrote(); err != nil {
		return s, err
	}
	if err := r.cmd.Process.Signal(unix.SIGINT); err != nil {
		return s, err
	}
	var exit *exec.ExitError // of a program that was interrupted
	if err := r.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return s, err
	}
	output, err := io.ReadAll(io.NewSectionReader(r.output, 0, 1<<40))
	if err != nil {
		return s, err
	}
	if r.lost != nil {
		for _, m := range r.lost.FindAllSubmatch(output, -1) {
			n, _ := strconv.ParseUint(string(m[1]), 10, 64)
			s.lost += n
		}
	}
	s.calls = r.seen(output)
	if s.calls == 0 {
		err = fmt.Errorf("%s saw nothing: %s", r.command[0], firstBytes(output, 400))
	}
	return s, err
}

// wrote waits until the output no longer grows: a peer that is terminated may not write
// the rest of its output. The wait is bounded, because other programs may make calls
// forever.
func (r *runningPeer) wrote() error {
	last := int64(-1)
	for range 20 {
		time.Sleep(300 * time.Millisecond)
		now, err := r.output.Stat()
		if err != nil || now.Size() == last {
			return err
		}
		last = now.Size()
	}
	return nil
}

func firstBytes(b []byte, n int) []byte { return b[:min(n, len(b))] }
