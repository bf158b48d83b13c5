// SPDX-License-Identifier: Apache-2.0

package record

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// Peer is the remote end of a socket. It is comparable, and zero for none, or for a socket
// that is not of IP or vsock.
type Peer struct {
	Address [16]byte // its first Length bytes, as of Endpoint
	Port    uint32   // as of Endpoint
	Length  uint16   // 0 without an address
	Family  uint16   // AF_*, 0 without an address
}

// PeerParts is what of a Peer distinguishes series; a mask.
type PeerParts uint8

// The parts, as enum peer_parts of bpf/records.h numbers them.
const (
	PeerAddress PeerParts = 1 << iota
	PeerPort
)

// Linux's numbers, which are the same on all architectures of the receiver.
const (
	familyInet  = 2
	familyInet6 = 10
	familyVsock = 40
)

// peer returns the parts of the call's peer, as read_peer of bpf/peer.h reads it.
func (c *Call) peer(parts PeerParts) (p Peer) {
	s := &c.Socket
	if parts == 0 || !c.Has(FlagSocket) || s.Family != familyInet && s.Family != familyInet6 && s.Family != familyVsock {
		return p
	}
	if parts&PeerPort != 0 {
		p.Port = s.Peer.Port
	}
	if parts&PeerAddress != 0 && len(s.Peer.Address) > 0 {
		p.Length, p.Family = uint16(copy(p.Address[:], s.Peer.Address)), s.Family
	}
	return p
}

// Text returns the address as spans have it, empty if there is none: an address of IPv4
// also for an IPv6 socket that uses it, the context id of vsock.
func (p Peer) Text() string {
	if p.Family == familyVsock {
		return strconv.FormatUint(uint64(binary.NativeEndian.Uint32(p.Address[:])), 10)
	}
	ip, _ := netip.AddrFromSlice(p.Address[:min(int(p.Length), len(p.Address))])
	if !ip.IsValid() {
		return ""
	}
	return ip.Unmap().String()
}
