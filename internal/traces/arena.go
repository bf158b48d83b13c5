// SPDX-License-Identifier: Apache-2.0

package traces

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

// arenaChunk holds the texts of a few dozen spans. It is not larger, because one text
// keeps its whole chunk in memory.
const arenaChunk = 4096

// arena allocates many short strings in chunks. It relies on strings.Builder not changing
// a string that it has returned when more is written.
type arena struct {
	chunk   *strings.Builder
	scratch []byte
	written int // bytes of all texts

	// Spans come in runs of a thread and of a socket, whose texts are the same.
	thread      string
	local, peer addressText
}

// addressText is an address and its text.
type addressText struct {
	ip   netip.Addr
	text string
}

func (a *arena) add(text []byte) string {
	if !utf8.Valid(text) {
		text = workload.AppendEscaped(nil, text)
	}
	if a.chunk == nil || a.chunk.Cap()-a.chunk.Len() < len(text) {
		a.chunk = new(strings.Builder)
		a.chunk.Grow(max(arenaChunk, len(text)))
	}
	a.written += len(text)
	start := a.chunk.Len()
	a.chunk.Write(text)
	return a.chunk.String()[start:]
}

func (a *arena) uint(n uint64) string {
	a.scratch = strconv.AppendUint(a.scratch[:0], n, 10)
	return a.add(a.scratch)
}

func (a *arena) int(n int64) string {
	a.scratch = strconv.AppendInt(a.scratch[:0], n, 10)
	return a.add(a.scratch)
}

// threadName formats the name of a thread.
func (a *arena) threadName(comm []byte) string {
	if string(comm) != a.thread {
		a.thread = a.add(comm)
		return a.thread
	}
	a.written += len(a.thread)
	return a.thread
}

// address formats an address. last is the one that was formatted last, of the same end.
func (a *arena) address(ip netip.Addr, last *addressText) string {
	if ip != last.ip {
		a.scratch = ip.AppendTo(a.scratch[:0])
		*last = addressText{ip, a.add(a.scratch)}
		return last.text
	}
	a.written += len(last.text)
	return last.text
}

// path formats the address of a Unix socket. An abstract one has @ for each NUL, as in ss
// and /proc/net/unix, and its full length; any other ends at its first NUL.
func (a *arena) path(sun []byte) string {
	if sun[0] != 0 {
		path, _, _ := bytes.Cut(sun, []byte{0})
		return a.add(path)
	}
	a.scratch = a.scratch[:0]
	for _, c := range sun {
		if c == 0 {
			c = '@'
		}
		a.scratch = append(a.scratch, c)
	}
	return a.add(a.scratch)
}
