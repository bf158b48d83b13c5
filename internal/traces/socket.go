// SPDX-License-Identifier: Apache-2.0

package traces

import (
	"encoding/binary"
	"net/netip"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
)

// Linux's numbers, these the same on all architectures.
const (
	afUnix  = 1
	afInet  = 2
	afInet6 = 10
	afVsock = 40

	sockRaw = 3

	protocolTCP   = 6
	protocolUDP   = 17
	protocolMPTCP = 262
)

func (b *Builder) socket(a pcommon.Map, s *record.Socket) {
	internet := s.Family == afInet || s.Family == afInet6
	tcp := internet && s.Type != sockRaw && (s.Protocol == protocolTCP || s.Protocol == protocolMPTCP)

	putStr(a, "socket.family", sockopt.FamilyName(s.Family))
	putStr(a, "socket.type", sockopt.TypeName(s.Type))
	putStr(a, "socket.protocol", sockopt.ProtocolName(s.Protocol, s.Family))
	if tcp && s.State != 0 {
		putStr(a, "socket.state", sockopt.TCPStateName(s.State))
	}
	if s.Cookie != 0 {
		a.PutStr("socket.cookie", b.text.uint(s.Cookie))
	}
	if s.NetNS != 0 {
		a.PutInt("socket.network_namespace", int64(s.NetNS))
	}
	switch {
	case tcp:
		a.PutStr("network.transport", "tcp")
	case internet && s.Type != sockRaw && s.Protocol == protocolUDP:
		a.PutStr("network.transport", "udp")
	case s.Family == afUnix:
		a.PutStr("network.transport", "unix")
	}
	putStr(a, "network.type", networkType(s))
	b.endpoint(a, s, &s.Local, "network.local.address", "network.local.port")
	b.endpoint(a, s, &s.Peer, "network.peer.address", "network.peer.port")
}

func (b *Builder) endpoint(a pcommon.Map, s *record.Socket, e *record.Endpoint, address, port string) {
	if len(e.Address) == 0 {
		return
	}
	switch s.Family {
	case afInet, afInet6:
		ip, ok := netip.AddrFromSlice(e.Address)
		if !ok {
			return
		}
		a.PutStr(address, b.text.address(ip.Unmap()))
		// A raw socket has no ports: the kernel keeps its protocol there.
		if e.Port != 0 && s.Type != sockRaw {
			a.PutInt(port, int64(e.Port))
		}
	case afUnix:
		putStr(a, address, b.text.path(e.Address))
	case afVsock:
		if len(e.Address) != 4 {
			return
		}
		a.PutStr(address, b.text.uint(uint64(binary.NativeEndian.Uint32(e.Address))))
		a.PutInt(port, int64(e.Port))
	}
}

// networkType goes by the addresses in use: an IPv6 socket whose peer is an
// IPv4 host speaks IPv4. One that is neither bound nor connected may yet speak
// either, so nothing is said of it.
func networkType(s *record.Socket) string {
	switch s.Family {
	case afInet:
		return "ipv4"
	case afInet6:
		used := s.Peer.Address
		if len(used) == 0 {
			used = s.Local.Address
		}
		ip, ok := netip.AddrFromSlice(used)
		switch {
		case !ok:
			return ""
		case ip.Is4() || ip.Is4In6():
			return "ipv4"
		}
		return "ipv6"
	}
	return ""
}

// putStr leaves out what is not there.
func putStr(a pcommon.Map, key, value string) {
	if value != "" {
		a.PutStr(key, value)
	}
}
