// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/tlsvariable"
)

// tick is the unit of start times in /proc, in nanoseconds: 1/USER_HZ, which is 1/100 s on
// every architecture the receiver is built for.
const tick = 1_000_000_000 / 100

// errOther: /proc describes another process with the same pid.
var errOther = errors.New("no longer the same process")

// wanted is what to look for in a process.
type wanted struct {
	spans   bool // how it publishes its active spans
	context bool // its process context
}

// inspect finds out what a process publishes. Another image of the process, after an exec,
// has another key, so it does no harm to inspect that by mistake.
func inspect(dir string, key record.ProcessKey, what wanted, known *files) (p Process, err error) {
	p.Key = key
	if what.spans {
		err = p.findSpans(dir, known)
	}
	if what.context && err == nil {
		p.Context, err = contextOf(dir)
	}
	if err != nil {
		return p, err
	}
	// Last: if the process has ended, the files may be those of another.
	return p, sameProcess(dir, key)
}

func (p *Process) findSpans(dir string, known *files) error {
	executable, err := known.open(filepath.Join(dir, "exe"))
	if err != nil {
		return fmt.Errorf("read the executable: %w", err)
	}
	p.Go = executable.goOffsets
	switch {
	case executable.variable.Defined:
		p.Variable = Variable{Access: tlsvariable.AccessOffset, At: uint64(executable.variable.Distance)}
	case executable.variable.Dynamic:
		p.Variable, err = variableIn(dir, executable.variable.Interpreter, known)
	}
	return err
}

// hasEnded reports whether err comes from reading about a process that has ended.
func hasEnded(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) || errors.Is(err, errOther)
}

// sameProcess returns an error for which hasEnded is true if the process has ended, also if
// nobody has waited for it yet.
func sameProcess(dir string, key record.ProcessKey) error {
	b, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return err
	}
	// Field 22, counted from the last parenthesis: the comm before it may have any bytes.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 20 {
		return fmt.Errorf("stat: %w", io.ErrUnexpectedEOF)
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return fmt.Errorf("stat: %w", err)
	}
	// A leader that has ended before its threads is a zombie, too.
	zombie := (fields[0] == "Z" || fields[0] == "X") && fields[17] == "1"
	if start != key.Start/tick || zombie {
		return errOther
	}
	return nil
}
