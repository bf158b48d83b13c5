// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/goruntime"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// fake is a source of which no processes come but those that a test sets, and keeps what is
// published.
type fake struct {
	running   []record.ProcessKey
	noticed   chan struct{}
	mu        sync.Mutex
	notices   []record.ProcessKey
	published []Process
	forgotten []record.ProcessKey
	awaited   int // contexts
}

func (f *fake) Processes() ([]record.ProcessKey, error) { return f.running, nil }
func (f *fake) Noticed() <-chan struct{}                { return f.noticed }
func (f *fake) FindOBI() error                          { return nil }

func (f *fake) Notices() ([]record.ProcessKey, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	taken := f.notices
	f.notices = nil
	return taken, nil
}

// notice makes a process one that may have become a publisher.
func (f *fake) notice(pid uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notices = append(f.notices, record.ProcessKey{PID: pid})
	f.noticed <- struct{}{}
}

func (f *fake) AwaitProcessContext(record.ProcessKey, uint64, string) error {
	f.awaited++
	return nil
}

func (f *fake) Forget(key record.ProcessKey) error {
	f.forgotten = append(f.forgotten, key)
	return nil
}

func (f *fake) Publish(p Process, _ string) error {
	f.published = append(f.published, p)
	return nil
}

// procfs has the folders of processes, with their cgroups.
func procfs(t *testing.T, cgroups map[uint32]string) string {
	t.Helper()
	root := t.TempDir()
	for pid, path := range cgroups {
		dir := filepath.Join(root, strconv.Itoa(int(pid)))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup"), []byte("0::"+path+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// Files that are no regular files are not opened: a FIFO would wait for a writer.
func TestOtherFilesAreNotOpened(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, t.TempDir(), "/dev/null"} {
		if _, err := newFiles().open(path); !errors.Is(err, errNotRegular) {
			t.Errorf("%s: got %v, want %v", path, err, errNotRegular)
		}
	}
}

// newFinder returns a finder over processes that publish or not.
func newFinder(t *testing.T, observed bool, publishes map[uint32]bool) (*Finder, *fake) {
	t.Helper()
	source := &fake{}
	cgroups := make(map[uint32]string)
	for pid := range publishes {
		cgroups[pid] = "/"
	}
	f := New(source, Options{
		Root: procfs(t, cgroups), Interval: 10 * time.Second, Observed: observed, Parents: true, Logger: zaptest.NewLogger(t),
	})
	f.budget = burst
	f.worker.inspect = func(_ string, key record.ProcessKey, _ wanted) (Process, error) {
		p := Process{Key: key}
		if publishes[key.PID] {
			p.Go = goruntime.Offsets{Labels: 1}
		}
		return p, nil
	}
	return f, source
}

func TestLooks(t *testing.T) {
	const publishes, silent, gone = 1, 2, 3
	for name, test := range map[string]struct {
		pid      uint32
		observed bool
		looks    int // at most four are tried
	}{
		"publishes":               {publishes, true, 1},
		"publishes nothing":       {silent, true, 3},
		"nothing can be observed": {silent, false, 4},
		"gone":                    {gone, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f, source := newFinder(t, test.observed, map[uint32]bool{publishes: true, silent: false})
			key := record.ProcessKey{PID: test.pid, Start: 5}
			w := f.notice(key, time.Now(), false)
			looks := 0
			for range 4 {
				if w != nil && !w.done {
					f.lookAtDue(w.due)
					looks++
				}
			}
			if looks != test.looks {
				t.Errorf("%d looks, want %d", looks, test.looks)
			}
			if want := test.pid == publishes; (len(source.published) == 1) != want {
				t.Errorf("published %+v", source.published)
			}
		})
	}
}

// However often a process makes itself noticed, there is a pause between two looks.
func TestNoticesAreLimited(t *testing.T) {
	f, source := newFinder(t, true, map[uint32]bool{1: true})
	key := record.ProcessKey{PID: 1}
	now := time.Now()
	for range 100 {
		f.notice(key, now, false)
		f.lookAtDue(now)
	}
	if len(source.published) != 1 {
		t.Errorf("%d looks, want 1", len(source.published))
	}
	// Another image is another process.
	f.notice(record.ProcessKey{PID: 1, ExecID: 1}, now, false)
	f.lookAtDue(now)
	if len(source.published) != 2 {
		t.Errorf("%d looks after an exec, want 2", len(source.published))
	}
}

func TestWatchedProcessesAreBounded(t *testing.T) {
	f, _ := newFinder(t, true, nil)
	now := time.Now()
	f.worker.root = procfs(t, map[uint32]string{1: "/a", 2: "/b", 3: "/c"})
	flood := &account{}
	f.owners["/a"] = flood
	for ; mayWatch.Allows(flood.watched, len(f.watched)); flood.watched++ {
		f.watched[uint32(flood.watched)+10] = nil
	}
	if w := f.notice(record.ProcessKey{PID: 1}, now, false); w != nil || len(f.watched) >= watchedMax {
		t.Errorf("%d processes of an owner are watched, and more may be", len(f.watched))
	}
	if w := f.notice(record.ProcessKey{PID: 2}, now, false); w == nil {
		t.Error("a process of another owner is not watched")
	}
	delete(f.owners, "/a")
	maps.DeleteFunc(f.watched, func(_ uint32, w *watch) bool { return w == nil })
	for range 16 {
		now = now.Add(time.Hour)
		f.lookAtDue(now)
		f.halve()
	}
	if len(f.watched)+len(f.owners) != 0 {
		t.Errorf("%d processes and %d owners are kept without a notice", len(f.watched), len(f.owners))
	}
}

// withContext makes an inspection find a process context too, unless its address is 0.
func withContext(inspect func(string, record.ProcessKey, wanted) (Process, error), address uint64) func(string, record.ProcessKey, wanted) (Process, error) {
	return func(dir string, key record.ProcessKey, what wanted) (Process, error) {
		p, err := inspect(dir, key, what)
		p.Context = address
		return p, err
	}
}

// A process that ends while it is looked at does not stay among the publishers. One that
// only its first thread has left does.
func TestPublishersThatEndAreForgotten(t *testing.T) {
	for name, test := range map[string]struct {
		stat   string // state, and number of threads
		exists bool
		want   bool

		context uint64 // that it publishes in place of its span
	}{
		"runs":             {stat: "1 (a) b) S 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 1 19 500", exists: true},
		"gone":             {want: true},
		"with a context":   {want: true, context: 1},
		"another":          {stat: "1 (a) b) S 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 1 19 501", exists: true, want: true},
		"zombie":           {stat: "1 (a) b) Z 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 1 19 500", exists: true, want: true},
		"its first thread": {stat: "1 (a) b) Z 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 2 19 500", exists: true},
	} {
		t.Run(name, func(t *testing.T) {
			f, source := newFinder(t, true, map[uint32]bool{1: test.context == 0})
			f.worker.inspect = withContext(f.worker.inspect, test.context)
			key := record.ProcessKey{PID: 1, Start: 500 * tick}
			w := f.notice(key, time.Now(), test.context != 0)
			for !w.done { // without a span it looks again
				f.lookAtDue(w.due)
			}
			if len(source.published) == 0 && source.awaited == 0 {
				t.Fatal("the source does not know the process")
			}
			if test.exists {
				if err := os.WriteFile(filepath.Join(f.worker.dir(key), "stat"), []byte(test.stat), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			f.lookAtDue(w.last.Add(2 * pause))
			if got := len(source.forgotten) == 1; got != test.want {
				t.Errorf("forgotten %v, want %t", source.forgotten, test.want)
			}
		})
	}
}
