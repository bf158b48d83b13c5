// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

// Load is the program whose calls are known in number; see load/load.c. Its
// executable has a name of its own, so that a receiver can select it and what
// else the host does is left out.
type Load struct {
	path string
}

// NewLoad compiles the load into a folder, under a name.
func NewLoad(folder, name string) (*Load, error) {
	l := &Load{path: filepath.Join(folder, name)}
	return l, harness.Compile(l.path, "test/resilience/rig/load/load.c", "-pthread")
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
type Running struct{ *harness.Worker }

// Start starts a script of the load.
func (l *Load) Start(script ...string) (*Running, error) {
	cmd := exec.Command(l.path, script...)
	cmd.Env = []string{}
	w, err := harness.StartWorker(cmd)
	if err != nil {
		return nil, err
	}
	return &Running{w}, nil
}

// Await waits for a word from the load.
func (r *Running) Await(word string) error {
	line, err := r.Out.ReadString('\n')
	if err != nil {
		_, ended := r.Stop()
		return fmt.Errorf("wait for %q: %w", word, errors.Join(err, ended))
	}
	if strings.TrimSpace(line) != word {
		return fmt.Errorf("the load writes %q, want %q", line, word)
	}
	return nil
}

// Go gives the load the word that it waits for.
func (r *Running) Go() error {
	_, err := io.WriteString(r.In, "go\n")
	return err
}

// End ends a load that would go on, waits for it, and returns how many calls
// it made.
func (r *Running) End() (uint64, error) {
	output, err := r.Stop()
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(output)
	if len(fields) == 0 {
		return 0, errors.New("the load does not report how many calls it made")
	}
	return strconv.ParseUint(fields[len(fields)-1], 10, 64)
}
