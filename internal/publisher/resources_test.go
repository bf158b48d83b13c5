// SPDX-License-Identifier: Apache-2.0

package publisher

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zaptest"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// fakeContexts hands out contexts, then nothing. Its processes run until they are in ended.
type fakeContexts struct {
	contexts  []record.ProcessContext
	published chan struct{}
	ended     map[uint32]bool
	names     map[uint32]record.PublishedNames
	applied   int
	asked     func() // during a look-up, nil for nothing
}

func (f *fakeContexts) ContextPublished() <-chan struct{} { return f.published }

func (f *fakeContexts) ReadProcessContext() (next record.ProcessContext, found bool, err error) {
	if len(f.contexts) == 0 {
		return next, false, nil
	}
	next, f.contexts = f.contexts[0], f.contexts[1:]
	return next, true, nil
}

func (f *fakeContexts) NameProcess(key record.ProcessKey, names record.PublishedNames) error {
	f.names[key.PID] = names
	return nil
}

func (f *fakeContexts) ApplyNames() error { f.applied++; return nil }

func (f *fakeContexts) HasNames(pid uint32) (bool, error) {
	if f.asked != nil {
		f.asked()
	}
	return !f.ended[pid], nil
}

// contextWith has one attribute.
func contextWith(key record.ProcessKey, name, value string) record.ProcessContext {
	field := func(number protowire.Number, b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), b)
	}
	attribute := append(field(1, []byte(name)), field(2, field(1, []byte(value)))...)
	return record.ProcessContext{Process: key, Payload: field(1, field(1, attribute))}
}

func TestResources(t *testing.T) {
	key := record.ProcessKey{PID: 7, Start: 1}
	executed, reused := key, key
	executed.ExecID, reused.Start = 1, 2
	source := &fakeContexts{names: make(map[uint32]record.PublishedNames), ended: make(map[uint32]bool)}
	r := NewResources(source, zaptest.NewLogger(t))
	take := func(c record.ProcessContext) bool {
		t.Helper()
		source.contexts = append(source.contexts, c)
		applied := source.applied
		if more, err := r.takeBatch(); more || err != nil {
			t.Fatalf("more %t: %v", more, err)
		}
		return source.applied > applied
	}
	shop := []workload.Attribute{{Key: "service.name", Str: "shop"}}

	if !take(contextWith(key, "service.name", "shop")) {
		t.Error("a new context changes nothing")
	}
	if take(contextWith(key, "service.name", "shop")) {
		t.Error("the same context changes something")
	}
	if take(record.ProcessContext{Process: key, Payload: []byte("text")}) {
		t.Error("a malformed context changes something")
	}
	if got := r.Of(key); !reflect.DeepEqual(got, shop) {
		t.Errorf("got %+v, want %+v", got, shop)
	}
	if r.Of(executed) != nil || r.Of(reused) != nil {
		t.Error("another process has the resource")
	}
	if got := source.names[7]; got != (record.PublishedNames{Name: "shop"}) {
		t.Errorf("names %+v", got)
	}
	cut := contextWith(reused, "team", "a")
	cut.Payload, cut.Cut = cut.Payload[:len(cut.Payload)-1], true
	if !take(cut) || len(r.Of(reused)) != 0 || source.names[7] != (record.PublishedNames{}) {
		t.Errorf("of a part of an attribute: %+v, names %+v", r.Of(reused), source.names[7])
	}
	if got, want := r.Counts(), (ResourceCounts{Read: 3, Cut: 1, Malformed: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}

	source.asked = func() { r.Of(reused) } // spans do not wait for the look-up
	r.forget()
	if len(r.known) != 1 {
		t.Errorf("%d resources, want that of the process that runs", len(r.known))
	}
	source.ended[7] = true
	r.forget()
	if len(r.known) != 0 {
		t.Errorf("%d resources of ended processes", len(r.known))
	}
}

// A batch ends, whatever processes publish meanwhile.
func TestBatchesOfContextsAreBounded(t *testing.T) {
	source := manyContexts(2*batchMax - 1)
	r := NewResources(source, zaptest.NewLogger(t))
	for _, want := range []bool{true, false} {
		if more, err := r.takeBatch(); more != want || err != nil {
			t.Fatalf("more %t, want %t: %v", more, want, err)
		}
		if want && len(r.known) != batchMax {
			t.Errorf("%d contexts in a batch, want %d", len(r.known), batchMax)
		}
	}
}

// One wakeup is for all contexts, those that the first batch leaves too.
func TestAllContextsAreTakenAfterAWakeup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := manyContexts(3 * batchMax)
		source.published = make(chan struct{}, 1)
		source.published <- struct{}{}
		r := NewResources(source, zaptest.NewLogger(t))
		stop := make(chan struct{})
		go r.Run(t.Context(), stop)
		time.Sleep(10 * batchPause)
		close(stop)
		synctest.Wait()
		if got := r.Counts().Read; got != 3*batchMax {
			t.Errorf("%d contexts read, want %d", got, 3*batchMax)
		}
	})
}

func manyContexts(n uint32) *fakeContexts {
	source := &fakeContexts{names: make(map[uint32]record.PublishedNames)}
	for pid := range n {
		source.contexts = append(source.contexts, contextWith(record.ProcessKey{PID: pid}, "service.name", "x"))
	}
	return source
}
