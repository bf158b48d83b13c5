// SPDX-License-Identifier: Apache-2.0

package record

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/semconv"
)

// TestSeriesKeyOfARecordIsTheKernels in test/bench/path holds it to the kernel
// side's key_of.
func TestSeriesKey(t *testing.T) {
	for name, test := range map[string]struct {
		result int32
		flags  Flags
		err    int32
		want   SeriesKey
	}{
		"success":              {0, FlagValue, 0, SeriesKey{}},
		"length of io_uring":   {4, FlagValue, 0, SeriesKey{}},
		"failure":              {-int32(unix.ENOPROTOOPT), 0, 0, SeriesKey{Error: uint16(unix.ENOPROTOOPT)}},
		"pending error":        {0, FlagPendingError, int32(unix.ECONNREFUSED), SeriesKey{Error: uint16(unix.ECONNREFUSED), Pending: true}},
		"error without a flag": {0, 0, int32(unix.ECONNREFUSED), SeriesKey{}},
		"failure with a pending error": {
			-int32(unix.EFAULT), FlagPendingError, int32(unix.ECONNREFUSED), SeriesKey{Error: uint16(unix.EFAULT)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			call := Call{
				Group: 7, Level: unix.SOL_SOCKET, Option: unix.SO_ERROR, Entry: EntrySocketcall,
				Return: test.result, Flags: test.flags, Error: test.err,
			}
			test.want.Group, test.want.Level, test.want.Option, test.want.Entry = 7, unix.SOL_SOCKET, unix.SO_ERROR, EntrySocketcall
			if got := call.SeriesKey(PeerAddress | PeerPort); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// A series has the parts of the peer that are asked for, of families that have peers.
func TestSeriesKeyHasThePeer(t *testing.T) {
	inet := Socket{Family: familyInet, Peer: Endpoint{Address: []byte{127, 0, 0, 1}, Port: 9}}
	for name, test := range map[string]struct {
		socket  Socket
		parts   PeerParts
		flags   Flags
		address string
		port    uint32
	}{
		"both":             {inet, PeerAddress | PeerPort, FlagPendingError | FlagSocket, "127.0.0.1", 9},
		"address":          {inet, PeerAddress, FlagPendingError | FlagSocket, "127.0.0.1", 0},
		"port":             {inet, PeerPort, FlagPendingError | FlagSocket, "", 9},
		"nothing":          {inet, 0, FlagPendingError | FlagSocket, "", 0},
		"no pending error": {inet, PeerAddress | PeerPort, FlagSocket, "", 0},
		"no socket":        {inet, PeerAddress | PeerPort, FlagPendingError, "", 0},
		"IPv6":             {Socket{Family: familyInet6, Peer: Endpoint{Address: []byte{0x20, 1, 15: 7}, Port: 443}}, PeerAddress | PeerPort, FlagPendingError | FlagSocket, "2001::7", 443},
		"IPv4 by IPv6":     {Socket{Family: familyInet6, Peer: Endpoint{Address: []byte{10: 255, 11: 255, 12: 10, 15: 7}, Port: 443}}, PeerAddress | PeerPort, FlagPendingError | FlagSocket, "10.0.0.7", 443},
		"vsock":            {Socket{Family: familyVsock, Peer: Endpoint{Address: []byte{2, 0, 0, 0}, Port: 1024}}, PeerAddress | PeerPort, FlagPendingError | FlagSocket, "2", 1024},
		"Unix":             {Socket{Family: familyUnix, Peer: Endpoint{Address: []byte("/run/x")}}, PeerAddress | PeerPort, FlagPendingError | FlagSocket, "", 0},
		"not connected":    {Socket{Family: familyInet6}, PeerAddress | PeerPort, FlagPendingError | FlagSocket, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			call := Call{Flags: test.flags, Error: 111, Socket: test.socket}
			peer := call.SeriesKey(test.parts).Peer
			if peer.Text() != test.address || peer.Port != test.port {
				t.Errorf("%q port %d, want %q port %d", peer.Text(), peer.Port, test.address, test.port)
			}
			if test.address == "" && test.port == 0 && peer != (Peer{}) {
				t.Errorf("%+v, want none", peer)
			}
		})
	}
}

func TestEntryString(t *testing.T) {
	for entry, want := range map[Entry]string{
		EntrySyscall:       semconv.SocketEntrySyscall,
		EntrySyscallCompat: semconv.SocketEntrySyscallCompat,
		EntrySocketcall:    semconv.SocketEntrySocketcall,
		EntryIOUring:       semconv.SocketEntryIOUring,
		EntryIOUring + 1:   "unknown",
	} {
		t.Run(want, func(t *testing.T) {
			if got := entry.String(); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestSeriesCountIsTheSumOfItsBuckets(t *testing.T) {
	s := Series{Buckets: []uint64{1, 0, 5, 2}}
	if got := s.Count(); got != 8 {
		t.Errorf("got %d, want 8", got)
	}
}

// Each counter is in the sums of the accounting that it belongs to, once.
func TestSumsOfCounters(t *testing.T) {
	c := Counters{
		Seen: 1 << 0, Filtered: 1 << 1, NoEntry: 1 << 2, NoExit: 1 << 3, Seccomp: 1 << 4, NoStorage: 1 << 5, NoCompletion: 1 << 6,
		Kept: 1 << 7, SampledOut: 1 << 9, Submitted: 1 << 11, RingFull: 1 << 12,
	}
	if got, want := c.Uncounted(), uint64(1<<2+1<<3+1<<4+1<<5+1<<6); got != want {
		t.Errorf("uncounted: got %#x, want %#x", got, want)
	}
}
