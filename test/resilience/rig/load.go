// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bufio"
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

//go:embed load/load.c
var loadSource []byte

// Load is the program whose calls are known in number; see load/load.c. Its
// executable has a name of its own, so that a receiver can select it and what
// else the host does is left out.
type Load struct {
	path string
}

// NewLoad compiles the load into a folder, under a name.
func NewLoad(folder, name string) (*Load, error) {
	l := &Load{path: filepath.Join(folder, name)}
	source := l.path + ".c"
	if err := os.WriteFile(source, loadSource, 0o644); err != nil {
		return nil, err
	}
	if output, err := exec.Command("cc", "-O1", "-pthread", "-o", l.path, source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile the load: %w\n%s", err, output)
	}
	return l, nil
}

// Name is what a receiver selects.
func (l *Load) Name() string { return filepath.Base(l.path) }

// Run runs a script of the load to its end and returns how many calls it made.
func (l *Load) Run(script ...string) (uint64, error) {
	r, err := l.Start(script...)
	if err != nil {
		return 0, err
	}
	return r.End()
}

// Running is a load that has been started.
type Running struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	errors bytes.Buffer
}

// Start starts a script of the load.
func (l *Load) Start(script ...string) (*Running, error) {
	r := &Running{cmd: exec.Command(l.path, script...)}
	r.cmd.Env = []string{}
	r.cmd.Stderr = &r.errors
	var err error
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	r.out = bufio.NewReader(out)
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the load: %w", err)
	}
	return r, nil
}

// PID is the load's first process.
func (r *Running) PID() int { return r.cmd.Process.Pid }

// Await waits for a word from the load.
func (r *Running) Await(word string) error {
	line, err := r.out.ReadString('\n')
	if err != nil || strings.TrimSpace(line) != word {
		return fmt.Errorf("the load says %q (%w), want %q: %s", line, err, word, &r.errors)
	}
	return nil
}

// Go gives the load the word that it waits for.
func (r *Running) Go() error {
	_, err := io.WriteString(r.in, "go\n")
	return err
}

// Kill ends the load in the middle of whatever it does.
func (r *Running) Kill() {
	_ = r.cmd.Process.Kill() // it may be gone by now
	_ = r.cmd.Wait()
}

// End ends a load that would go on, waits for it, and returns how many calls
// it made.
func (r *Running) End() (uint64, error) {
	closed := r.in.Close()
	said, err := io.ReadAll(r.out)
	if err := errors.Join(closed, err, r.cmd.Wait()); err != nil {
		return 0, fmt.Errorf("load %v: %w: %s", r.cmd.Args[1:], err, &r.errors)
	}
	fields := strings.Fields(string(said))
	if len(fields) == 0 {
		return 0, fmt.Errorf("load %v does not say how many calls it made", r.cmd.Args[1:])
	}
	return strconv.ParseUint(fields[len(fields)-1], 10, 64)
}
