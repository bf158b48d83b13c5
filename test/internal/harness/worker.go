// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
)

// Worker is a running program that is asked on its standard input, and answers on its
// standard output. It is for one goroutine.
type Worker struct {
	In  io.WriteCloser
	Out *bufio.Reader

	cmd    *exec.Cmd
	errors bytes.Buffer
}

// StartWorker starts a program that ends when its input does. What it writes to
// standard error belongs to the errors of Stop, unless the command has a writer
// for it.
func StartWorker(cmd *exec.Cmd) (*Worker, error) {
	w := &Worker{cmd: cmd}
	if cmd.Stderr == nil {
		cmd.Stderr = &w.errors
	}
	var err error
	if w.In, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.Out = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return w, nil
}

// PID is its process id.
func (w *Worker) PID() int { return w.cmd.Process.Pid }

// Stop closes its input, and returns the rest of its output when it has ended.
func (w *Worker) Stop() (string, error) {
	closed := w.In.Close()
	rest, err := io.ReadAll(w.Out)
	if err := errors.Join(closed, err, w.cmd.Wait()); err != nil {
		return "", fmt.Errorf("%v: %w: %s", w.cmd.Args, err, &w.errors)
	}
	return string(rest), nil
}

// Kill ends it in the middle of whatever it does.
func (w *Worker) Kill() {
	_ = w.cmd.Process.Kill() // it may be gone by now
	_ = w.cmd.Wait()
}
