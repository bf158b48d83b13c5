// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ringMemory is the memory of a ring buffer. The library's reader maps the data twice in a row,
// so that no record is in two parts, and all of it counts twice as memory of the process: 4 MiB
// by default.
type ringMemory struct {
	mu                 sync.Mutex // held while the memory is used, and to unmap it
	consumer, producer *uint64    // positions
	data               []byte     // nil after close
	mapped             [2][]byte
}

func mapRing(m *ebpf.Map) (_ *ringMemory, err error) {
	r := &ringMemory{}
	// The first page has the position of the consumer, the next one that of the producer.
	page := os.Getpagesize()
	if r.mapped[0], err = unix.Mmap(m.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("map the consumer's position: %w", err)
	}
	if r.mapped[1], err = unix.Mmap(m.FD(), int64(page), page+int(m.MaxEntries()), unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return nil, errors.Join(fmt.Errorf("map the data: %w", err), r.close())
	}
	r.consumer = (*uint64)(unsafe.Pointer(&r.mapped[0][0]))
	r.producer = (*uint64)(unsafe.Pointer(&r.mapped[1][0]))
	r.data = r.mapped[1][page:]
	return r, nil
}

// take reads the next record into a buffer, which it may replace, if there is one. It is for one
// goroutine at a time.
func (r *ringMemory) take(to *[]byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.data != nil {
		at := atomic.LoadUint64(r.consumer)
		if at == atomic.LoadUint64(r.producer) {
			return false
		}
		header := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[r.index(at)])))
		if header&unix.BPF_RINGBUF_BUSY_BIT != 0 {
			// A program writes it at the moment, which may have been preempted.
			r.mu.Unlock()
			runtime.Gosched()
			r.mu.Lock()
			continue
		}
		size := uint64(header &^ unix.BPF_RINGBUF_DISCARD_BIT)
		discarded := header&unix.BPF_RINGBUF_DISCARD_BIT != 0
		if !discarded {
			r.copy(to, at+unix.BPF_RINGBUF_HDR_SZ, size)
		}
		atomic.StoreUint64(r.consumer, at+(unix.BPF_RINGBUF_HDR_SZ+size+7)&^7)
		if !discarded {
			return true
		}
	}
	return false
}

func (r *ringMemory) index(position uint64) uint64 { return position % uint64(len(r.data)) }

// copy copies a record, whose second part is at the beginning of the data if it reaches beyond
// the end.
func (r *ringMemory) copy(to *[]byte, from, size uint64) {
	first := r.data[r.index(from):]
	first = first[:min(size, uint64(len(first)))]
	*to = append(append((*to)[:0], first...), r.data[:size-uint64(len(first))]...)
}

// bytes is how many are waiting.
func (r *ringMemory) bytes() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.data == nil {
		return 0
	}
	return int(atomic.LoadUint64(r.producer) - atomic.LoadUint64(r.consumer))
}

func (r *ringMemory) closed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.data == nil
}

func (r *ringMemory) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.data = nil
	var errs []error
	for i, b := range r.mapped {
		if b != nil {
			errs = append(errs, unix.Munmap(b))
		}
		r.mapped[i] = nil
	}
	return errors.Join(errs...)
}
