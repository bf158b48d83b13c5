// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// pendingOfPeer is PENDING_OF_PEER of bpf/records.h.
const pendingOfPeer = 2

// hashMultiplier is HASH_MULTIPLIER_2 of bpf/series.h.
const hashMultiplier = 0xd6e8feb86659fd93

// readKey returns the key of a slot. It is complete if key_hash, which is written after
// the key, is its hash. On arm64 the two may become visible in the other order. The slot
// is then left to the next look. The same holds for the peer, whose hash is in the key.
func (p *places) readKey(id uint32) (key record.SeriesKey, complete bool) {
	hash := atomic.LoadUint64(&p.series[id].KeyHash)
	if hash == 0 {
		return key, false
	}
	words := keyWords(&p.counts[int(id)-p.firstSlot()])
	copied := [2]uint64{atomic.LoadUint64(&words[0]), atomic.LoadUint64(&words[1])}
	if hash != keyHash(copied) {
		return key, false
	}
	k := (*bpf.GetsockoptSeriesKey)(unsafe.Pointer(&copied))
	key = record.SeriesKey{
		Group: k.Group, Level: k.Level, Option: k.Option, Error: k.Error,
		Entry: record.Entry(k.Entry), Pending: k.Pending != 0,
	}
	if k.Pending != pendingOfPeer {
		return key, true
	}
	key.Level, key.Option = unix.SOL_SOCKET, unix.SO_ERROR
	key.Peer, hash = p.readPeer(id)
	return key, hash == uint64(uint32(k.Level))<<32|uint64(uint32(k.Option))
}

// keyHash is hash_key of bpf/series.h.
func keyHash(key [2]uint64) uint64 {
	hash := key[0]*0x9e3779b97f4a7c15 + key[1]
	hash = (hash ^ hash>>32) * hashMultiplier
	return (hash ^ hash>>32) | 1
}

// peerWords is a bpf.GetsockoptSocketEndpoint as the kernel hashes it.
type peerWords [3]uint64

// readPeer returns the peer of a slot, and its hash.
func (p *places) readPeer(id uint32) (record.Peer, uint64) {
	var copied peerWords
	words := &p.peers[int(id)-p.firstSlot()]
	for i := range copied {
		copied[i] = atomic.LoadUint64(&words[i])
	}
	e := (*bpf.GetsockoptSocketEndpoint)(unsafe.Pointer(&copied))
	return record.Peer{Address: e.Address, Port: e.Port, Length: e.Length, Family: e.Family}, peerHash(p.hashSeed, copied)
}

// peerHash is hash_words of bpf/series.h, of a peer.
func peerHash(seed uint64, peer peerWords) uint64 {
	hash := seed
	for _, word := range peer {
		hash = (hash ^ word) * hashMultiplier
		hash ^= hash >> 32
	}
	return hash
}
