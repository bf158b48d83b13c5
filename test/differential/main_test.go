// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unsafe"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// variable names the program that this test binary becomes.
const variable = "DIFFERENTIAL_PROGRAM"

func TestMain(m *testing.M) {
	if name := os.Getenv(variable); name != "" {
		programs[name]()
		return
	}
	goleak.VerifyTestMain(m)
}

// programs make calls, and write the expected attributes of each.
var programs = map[string]func(){
	"sweep":         sweep,
	"tcp":           tcpProgram,
	"states":        statesProgram,
	"credentials":   credentialsProgram,
	"connect":       connectProgram,
	"original":      originalProgram,
	"refused":       refusedProgram,
	"unix":          unixProgram,
	"kinds":         kindsProgram,
	"namespace":     namespaceProgram,
	"wrong answers": wrongAnswersProgram,
	"lengths":       lengthsProgram,
	"short errors":  shortErrorsProgram,
	"fenced error":  fencedErrorProgram,
	"pages":         pagesProgram,
	"race":          raceProgram,
	"keys":          keysProgram,
	"pairs":         pairsProgram,
	"values":        valuesProgram,
	"errors":        errorsProgram,
}

// program is this binary, ready to start as one of them.
func program(t *testing.T, name string, environment ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe)
	c.Env = append(os.Environ(), append(environment, variable+"="+name)...)
	return c
}

// run runs a program to its end and returns its facts.
func run(t *testing.T, c *exec.Cmd) []fact {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", c.Args, err, &stderr)
	}
	return parseFacts(t, &stdout)
}

func parseFacts(t *testing.T, output *bytes.Buffer) []fact {
	t.Helper()
	var facts []fact
	for decoder := json.NewDecoder(output); decoder.More(); {
		var f fact
		decoder.UseNumber()
		if err := decoder.Decode(&f); err != nil {
			t.Fatal(err)
		}
		facts = append(facts, f)
	}
	return facts
}

// fact is what a program knows of a call: the attributes of its span, nil for
// one that must be absent. A key that ends in ~ holds a regular expression;
// "name" and "status" are the span's own.
type fact map[string]any

var facts = bufio.NewWriter(os.Stdout)

// expect writes facts, of one call each.
func expect(of ...fact) {
	for _, f := range of {
		b, err := json.Marshal(f)
		must(err)
		_, err = facts.Write(append(b, '\n'))
		must(err)
	}
	must(facts.Flush())
}

// with adds to a fact.
func (f fact) with(more fact) fact {
	sum := fact{}
	for _, part := range []fact{f, more} {
		for k, v := range part {
			sum[k] = v
		}
	}
	return sum
}

// must ends a program that could not do what its facts are about.
func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		panic(err)
	}
}

// mustBe requires that a step failed with one error.
func mustBe(err error, want unix.Errno) {
	if !errors.Is(err, want) {
		must(fmt.Errorf("%w, and not %w", want, err))
	}
}

// getsockopt is the system call as it is. The length is the kernel's, an int.
func getsockopt(fd, level, option int, value, length unsafe.Pointer) unix.Errno {
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(value), uintptr(length), 0)
	return errno
}

// ask reads an option into a buffer of size bytes, and returns its bytes.
func ask(fd, level, option, size int) ([]byte, unix.Errno) {
	b := make([]byte, size+8)
	length := int32(size)
	errno := getsockopt(fd, level, option, unsafe.Pointer(&b[0]), unsafe.Pointer(&length))
	if errno != 0 || length < 0 {
		return nil, errno
	}
	return b[:min(int(length), size)], 0
}

// mustAsk is ask for options that must succeed.
func mustAsk(fd, level, option, size int) []byte {
	b, errno := ask(fd, level, option, size)
	if errno != 0 {
		must(fmt.Errorf("getsockopt(%d, %d, %d): %w", fd, level, option, errno))
	}
	return b
}

func socket(family, kind, protocol int) int {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
	must(err)
	return fd
}

// output runs another program and returns what it wrote.
func output(name string, args ...string) string {
	b, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		must(fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, b))
	}
	return string(b)
}
