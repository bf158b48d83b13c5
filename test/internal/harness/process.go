// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a program that runs until it is stopped. Its methods may be called from
// several goroutines.
type Process struct {
	cmd    *exec.Cmd
	output output
	exited chan struct{} // closed with err set
	err    error
}

// output is what a process writes, readable while it does.
type output struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.String()
}

// Start starts a program. What it writes is kept, and copied to the writers.
func Start(cmd *exec.Cmd, copies ...io.Writer) (*Process, error) {
	p := &Process{cmd: cmd, exited: make(chan struct{})}
	w := io.MultiWriter(append(copies, &p.output)...)
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// PID is its process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Output is what it wrote so far, on both standard output and standard error.
func (p *Process) Output() string { return p.output.String() }

// Ended reports whether it has exited.
func (p *Process) Ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// Await waits until ready returns true. It is an error when the process ends before
// or does not get there within the limit.
func (p *Process) Await(limit time.Duration, what string, ready func() bool) error {
	var ended bool
	err := Await(limit, func() error {
		// Ended is read first: what the process did last may have made it ready.
		ended = p.Ended()
		if ended || ready() {
			return nil
		}
		return fmt.Errorf("%s does not: %s\n%s", p.cmd.Path, what, p.Output())
	})
	if err == nil && ended && !ready() {
		err = fmt.Errorf("%s ended before: %s: %w\n%s", p.cmd.Path, what, p.err, p.Output())
	}
	return err
}

// AwaitOutput waits until it has written a text that many times.
func (p *Process) AwaitOutput(limit time.Duration, text string, times int) error {
	return p.Await(limit, fmt.Sprintf("write %q %d times", text, times), func() bool {
		return strings.Count(p.Output(), text) >= times
	})
}

// Signal sends it a signal.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// AwaitExit waits until it has exited, and returns its exit status.
func (p *Process) AwaitExit(limit time.Duration) (int, error) {
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(limit):
		return 0, fmt.Errorf("%s still runs after %v\n%s", p.cmd.Path, limit, p.Output())
	}
}

// Stop sends a signal that asks it to end. It must do so within the limit, with
// status 0 and without a panic.
func (p *Process) Stop(s syscall.Signal, limit time.Duration) error {
	if err := p.Signal(s); err != nil {
		return fmt.Errorf("stop %s: %w", p.cmd.Path, err)
	}
	status, err := p.AwaitExit(limit)
	if err == nil && (status != 0 || strings.Contains(p.Output(), "panic:")) {
		err = fmt.Errorf("%s ended with status %d after %v\n%s", p.cmd.Path, status, s, p.Output())
	}
	return err
}

// Kill ends it without a chance to clean up, if it still runs.
func (p *Process) Kill() {
	_ = p.Signal(syscall.SIGKILL) // it may be gone by now
	<-p.exited
}
