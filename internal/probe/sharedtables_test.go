// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/goruntime"
	"github.com/getsockopt/getsockoptreceiver/internal/publisher"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// A table of smallSize elements, of which an owner alone may have smallShare.
const (
	smallSize  = 30
	smallShare = 20
)

// publishing is a program that runs until it is ended.
type publishing struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startPublishing starts a program, with those that it forks in a process group, and waits
// for its first line.
func startPublishing(t *testing.T, c *exec.Cmd) *publishing {
	t.Helper()
	c.SysProcAttr.Setpgid = true
	in, out := startPiped(t, c)
	p := &publishing{c, in, out}
	t.Cleanup(p.kill)
	p.await(t)
	return p
}

func (p *publishing) await(t *testing.T) {
	t.Helper()
	if _, err := p.out.ReadString('\n'); err != nil {
		t.Fatalf("%s: %v", p.Env[0], err)
	}
}

// proceed writes a line and waits for the answer.
func (p *publishing) proceed(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(p.in, "\n"); err != nil {
		t.Fatal(err)
	}
	p.await(t)
}

// end lets the program end.
func (p *publishing) end(t *testing.T) {
	t.Helper()
	_ = p.in.Close()
	if err := p.Wait(); err != nil {
		t.Fatalf("%s: %v", p.Env[0], err)
	}
}

// kill kills the program and those that it forked.
func (p *publishing) kill() {
	if p.ProcessState == nil {
		_ = unix.Kill(-p.Process.Pid, unix.SIGKILL)
		_ = p.Wait()
	}
}

// publish publishes the labels of a program as the finder does.
func (p *publishing) publish(t *testing.T, to *Probe) error {
	t.Helper()
	offsets, found := goruntime.Of(runtime.Version())
	if !found {
		t.Fatalf("the layout of %s is not known", runtime.Version())
	}
	running, err := to.Processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range running {
		if int(key.PID) == p.Process.Pid {
			return to.Publish(publisher.Process{Key: key, Go: offsets}, ownerOf(t, key.PID))
		}
	}
	t.Fatalf("process %d is not listed", p.Process.Pid)
	return nil
}

func ownerOf(t *testing.T, pid uint32) string {
	t.Helper()
	o, err := workload.OwnerOf(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		t.Fatal(err)
	}
	return string(o)
}

// openContexts opens a probe with the programs that notice what programs publish.
func openContexts(t *testing.T, o Options) *Probe {
	t.Helper()
	p := open(t, o)
	if err := p.addContexts(p.loader); err != nil {
		t.Fatal(err)
	}
	return p
}

// shrink makes tables small, as far as shares go. Their counts are not repaired.
func shrink(p *Probe, tables ...int) {
	p.stopControlLoop()
	for _, table := range tables {
		atomic.StoreInt32(&p.places.uses[table].Size, smallSize)
	}
}

// awaitEmptyTables waits until nothing is in the tables, and nobody has anything of them.
func awaitEmptyTables(t *testing.T, p *Probe) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		left := elementsOf(t, p)
		for table := range p.places.uses {
			use := &p.places.uses[table]
			left = append(left, atomic.LoadInt32(&use.Used))
			for owner := range use.ByOwner {
				left = append(left, atomic.LoadInt32(&use.ByOwner[owner]))
			}
		}
		empty := true
		for _, n := range left {
			empty = empty && n == 0
		}
		if empty {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("elements and uses %v, want none", left)
		}
	}
}

// elementsOf returns how many elements the tables have: publishers, names, awaited.
func elementsOf(t *testing.T, p *Probe) (n []int32) {
	t.Helper()
	count := func(err error, elements int) {
		if err != nil {
			t.Fatal(err)
		}
		n = append(n, int32(elements))
	}
	pids, _, err := readAll[uint32, bpf.GetsockoptPublisher](p.tables.publishers.elements)
	count(err, len(pids))
	pids, _, err = readAll[uint32, bpf.GetsockoptPublishedNames](p.tables.names.elements)
	count(err, len(pids))
	pids, _, err = readAll[uint32, bpf.GetsockoptAwaitedContext](p.tables.awaited.elements)
	count(err, len(pids))
	return n
}

// However many processes of an owner publish their spans, by forks too, calls of others have
// their parents. Those that end, in any way, leave nothing.
func TestPublishersAreSharedAmongOwners(t *testing.T) {
	p := openContexts(t, spans(HookAuto))
	shrink(p, tablePublishers)
	attacker := owner(t, "flood")
	var flood []*publishing
	for range 2 {
		forks := startPublishing(t, attacker(caller.Command(t, "forks:40")))
		if err := forks.publish(t, p); err != nil && len(flood) == 0 {
			t.Fatal(err)
		}
		forks.proceed(t)
		flood = append(flood, forks)
		if n := elementsOf(t, p)[tablePublishers]; n != smallShare {
			t.Fatalf("an owner has %d elements, want %d", n, smallShare)
		}
	}
	if err := flood[1].publish(t, p); !errors.Is(err, errNoShare) {
		t.Errorf("an owner with its share may have more: %v", err)
	}
	for i := range 2 {
		const calls = 5
		c := startPublishing(t, owner(t, fmt.Sprintf("newcomer-%d", i))(caller.Command(t, fmt.Sprintf("labelled:%d", calls))))
		if err := c.publish(t, p); err != nil {
			t.Error(err)
		}
		c.end(t)
		got := drain(t, p, c.Process.Pid).calls
		if len(got) != calls {
			t.Errorf("%d calls, want %d", len(got), calls)
		}
		for _, call := range got {
			if id := hex.EncodeToString(call.Parent.SpanID[:]); id != caller.LabelledSpan {
				t.Errorf("the parent is %s, want %s", id, caller.LabelledSpan)
			}
		}
	}
	flood[0].end(t)
	flood[1].kill()
	awaitEmptyTables(t, p)

	// Another image has nothing of the one before.
	spawns := startPublishing(t, attacker(caller.Command(t, "spawns:3")))
	if err := spawns.publish(t, p); err != nil {
		t.Fatal(err)
	}
	spawns.proceed(t)
	// The program may know that another was executed before the event of that.
	for deadline := time.Now().Add(time.Minute); elementsOf(t, p)[tablePublishers] != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d elements, want that of the program that executes others", elementsOf(t, p)[tablePublishers])
		}
	}
	spawns.end(t)
	awaitEmptyTables(t, p)
}

// The same for the resources that programs publish: while nobody reads them, and afterwards.
func TestPublishedNamesAreSharedAmongOwners(t *testing.T) {
	for _, hook := range hooksToRepeat(t) {
		if hook == HookRawTracepoint {
			continue // processes are looked at instead
		}
		t.Run(hook, func(t *testing.T) {
			p := openContexts(t, Options{Hook: hook})
			shrink(p, tableNames, tableAwaited)
			attacker := owner(t, "flood")
			ends := startPublishing(t, attacker(caller.Command(t, "publishers:40")))
			killed := startPublishing(t, attacker(caller.Command(t, "publishers:40")))
			if n := elementsOf(t, p)[tableNames]; n != smallShare {
				t.Errorf("an owner has %d elements, want %d", n, smallShare)
			}
			if full := snapshot(t, p).Counters; full.ContextNoSpace == 0 {
				t.Errorf("all contexts found space: %+v", full)
			}
			const calls = 5
			victim := startPublishing(t, owner(t, "newcomer")(caller.Command(t, fmt.Sprintf("named:%d", calls))))
			if _, waits, err := p.tables.awaited.lookup(uint32(victim.Process.Pid)); waits || err != nil {
				t.Errorf("the context of another owner found no space in the ring buffer: %v", err)
			}
			stop := takeContexts(t, p)
			awaitNames(t, p, victim.Process.Pid)
			victim.end(t)
			if got := callsOf(snapshot(t, p), caller.NamedService); got != calls {
				t.Errorf("%d calls of the name that was published, want %d", got, calls)
			}
			ends.end(t)
			killed.kill()
			awaitEmptyTables(t, p)
			stop()
		})
	}
}

// takeContexts names processes as they publish, until stop is called.
func takeContexts(t *testing.T, p *Probe) (stop func()) {
	t.Helper()
	resources := publisher.NewResources(p, zaptest.NewLogger(t))
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		resources.Run(t.Context(), end)
	}()
	return func() {
		close(end)
		<-ended
	}
}

// awaitNames waits until a process has its names.
func awaitNames(t *testing.T, p *Probe, pid int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		names, found, err := p.tables.names.lookup(uint32(pid))
		if err != nil || !found {
			t.Fatalf("process %d has no element: %v", pid, err)
		}
		if names.Version != 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d is not named", pid)
		}
	}
}

func callsOf(s record.Snapshot, service string) (calls uint64) {
	for i := range s.Series {
		if s.Groups[s.Series[i].Group].Name == service {
			for _, n := range s.Series[i].Buckets {
				calls += n
			}
		}
	}
	return calls
}

// Contexts that user space asks for, at a start, are shared too.
func TestAwaitedContextsAreSharedAmongOwners(t *testing.T) {
	p := open(t, Options{Hook: HookAuto})
	shrink(p, tableAwaited)
	const none = 1 << 22 // above every pid
	await := func(pid uint32, o string) error {
		return p.AwaitProcessContext(record.ProcessKey{PID: none + pid}, 1, o)
	}
	held := 0
	for pid := range uint32(2 * smallSize) {
		switch err := await(pid, "/flood.service"); {
		case err == nil:
			held++
		case !errors.Is(err, errNoShare):
			t.Fatal(err)
		}
	}
	if held != smallShare {
		t.Errorf("an owner has %d elements, want %d", held, smallShare)
	}
	for range 2 { // the second takes the place of the first
		if err := await(3*smallSize, "/other.service"); err != nil {
			t.Error(err)
		}
	}
	for pid := range uint32(4 * smallSize) { // as the finder does, of processes that have ended
		if err := p.Forget(record.ProcessKey{PID: none + pid}); err != nil {
			t.Fatal(err)
		}
	}
	awaitEmptyTables(t, p)
}

// A wrong count is corrected, and the elements that come and go between the count and the
// look at it do no lasting harm.
func TestCountsAreRepaired(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	var r repair
	var use, counted bpf.GetsockoptTableUse
	change := func(to *bpf.GetsockoptTableUse, owner int, n int32) {
		to.Used += n
		to.ByOwner[owner] += n
	}
	for round := range 2000 {
		if round%10 == 0 { // what a race leaves: an element of one owner discharged another
			change(&use, random.IntN(4), 1)
			change(&use, random.IntN(4), -1)
		}
		var late []int
		for range random.IntN(20) {
			owner := random.IntN(4)
			change(&use, owner, 1)
			if random.IntN(2) == 0 { // it was not counted
				late = append(late, owner)
			} else {
				change(&counted, owner, 1)
			}
		}
		r.compare(&use, &counted)
		for _, owner := range late {
			change(&counted, owner, 1)
		}
		for owner := range 4 {
			if difference := use.ByOwner[owner] - counted.ByOwner[owner]; difference > 40 || difference < -40 {
				t.Fatalf("round %d: owner %d has %d elements too many", round, owner, difference)
			}
		}
	}
	for range 2 {
		r.compare(&use, &counted)
	}
	if use != counted {
		t.Errorf("counts %v, want %v", use.ByOwner[:4], counted.ByOwner[:4])
	}
}
