// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A program whose files do not answer holds up neither spans nor metrics for ever, and
// those of other programs are still read. FIFOs take the place of its files: they are opened
// once a writer comes.
func TestFilesThatDoNotAnswer(t *testing.T) {
	root := procfs(t, good)
	f := NewProcfs(root)
	var silent []string
	ask := func() error {
		p := lost()
		p.Key.PID = uint32(100_000 + len(silent))
		dir := filepath.Join(root, strconv.Itoa(int(p.Key.PID)))
		file := filepath.Join(dir, "environ")
		if err := errors.Join(os.Mkdir(dir, 0o755), unix.Mkfifo(file, 0o644)); err != nil {
			t.Fatal(err)
		}
		silent = append(silent, file)
		return f.Complete(p)
	}
	answer := func() {
		for _, file := range silent {
			if writer, err := os.OpenFile(file, os.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
				_ = writer.Close()
			}
		}
	}
	defer answer()
	for range stuckMax - 1 {
		if err := ask(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("error %v", err)
		}
	}
	for p, tries := lost(), 0; ; tries++ { // a busy host may need more time than it gets
		err := f.Complete(p)
		if err == nil {
			break
		}
		if tries == 100 {
			t.Fatalf("of a program whose files answer: %v", err)
		}
		p.Key.ExecID++
	}
	for range 2 * stuckMax { // those after the first are not opened
		if err := ask(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("error %v", err)
		}
	}
	if got := len(f.patience.reading); got != stuckMax {
		t.Errorf("%d readings, want %d", got, stuckMax)
	}
	for deadline := time.Now().Add(10 * time.Second); len(f.patience.reading) > 0; time.Sleep(time.Millisecond) {
		answer()
		if time.Now().After(deadline) {
			t.Fatalf("%d readings do not end", len(f.patience.reading))
		}
	}
	other := lost()
	other.Key.ExecID = 1000
	if err := f.Complete(other); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
