// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
)

// lateVariable makes the test program one that is ready like a Collector.
const lateVariable = "HARNESS_LATE"

func TestMain(m *testing.M) {
	if os.Getenv(lateVariable) != "" {
		subscribeLate()
	}
	os.Exit(m.Run())
}

// subscribeLate writes that it is ready, and is busy until its standard input ends. Only then
// it subscribes to SIGTERM.
func subscribeLate() {
	fmt.Println(Ready)
	var ended atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		ended.Store(true)
	}()
	for !ended.Load() {
		runtime.Gosched()
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	<-signals
	os.Exit(0)
}

func TestAwaitReadyOfAProcessThatSubscribesLate(t *testing.T) {
	for name, wrapper := range map[string][]string{
		"itself":            nil,
		"of its descendant": {"sh", "-c", `sh -c '"$0"; exit $?' "$0"; exit $?`},
	} {
		t.Run(name, func(t *testing.T) {
			command := slices.Concat(wrapper, []string{os.Args[0]})
			cmd := exec.Command(command[0], command[1:]...)
			cmd.Env = append(os.Environ(), lateVariable+"=1")
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			p := Run(t, cmd)
			if err := p.AwaitOutput(limit, Ready, 1); err != nil {
				t.Fatal(err)
			}
			if err := p.AwaitReady(0, 1); err == nil {
				t.Error("it is ready before it has subscribed")
			}
			if err := in.Close(); err != nil {
				t.Fatal(err)
			}
			if err := p.AwaitReady(limit, 1); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(youngest(p.PID()), syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if status, err := p.AwaitExit(limit); err != nil || status != 0 {
				t.Errorf("status %d, error %v", status, err)
			}
		})
	}
}
