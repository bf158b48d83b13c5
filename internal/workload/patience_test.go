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

// silent are processes of a proc file system whose files do not answer. FIFOs take the place of
// their files: they are opened once a writer comes.
type silent struct {
	of    *Procfs
	files []string
}

// ask asks for the environment of another process of an owner.
func (s *silent) ask(t *testing.T, o Owner) error {
	t.Helper()
	p := lost()
	p.Key.PID = uint32(100_000 + len(s.files))
	dir := filepath.Join(s.of.root, strconv.Itoa(int(p.Key.PID)))
	file := filepath.Join(dir, "environ")
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "cgroup"), []byte("0::"+string(o)+"\n"), 0o600), unix.Mkfifo(file, 0o644)); err != nil {
		t.Fatal(err)
	}
	s.files = append(s.files, file)
	return s.of.Complete(p)
}

// answer lets the readings end that have begun.
func (s *silent) answer() {
	for _, file := range s.files {
		if writer, err := os.OpenFile(file, os.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
			_ = writer.Close()
		}
	}
}

// Programs whose files do not answer hold up neither spans nor metrics for ever, and
// those of other programs are still read, also if one owner has as many as it wants.
func TestFilesThatDoNotAnswer(t *testing.T) {
	f := NewProcfs(procfs(t, good))
	s := &silent{of: f}
	defer s.answer()
	for _, o := range []Owner{"/user.slice/user-1000.slice", "/a.service"} {
		for range 2 * stuckMax { // those after its share are not opened
			if err := s.ask(t, o); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("error %v", err)
			}
		}
	}
	if all := f.patience.reading.count(); all >= stuckMax {
		t.Errorf("%d readings, want fewer than %d", all, stuckMax)
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
	for deadline := time.Now().Add(10 * time.Second); f.patience.reading.count() > 0; time.Sleep(time.Millisecond) {
		s.answer()
		if time.Now().After(deadline) {
			t.Fatalf("%d readings do not end", f.patience.reading.count())
		}
	}
	if len(f.patience.reading.of) != 0 {
		t.Errorf("owners %v are kept without a reading", f.patience.reading.of)
	}
}

func (r *readings) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all
}
