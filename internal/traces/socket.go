// SPDX-License-Identifier: Apache-2.0

package traces

import (
	"encoding/binary"
	"net/netip"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/internal/semconv"
	"github.com/getsockopt/getsockoptreceiver/internal/sockopt"
)

// Linux's numbers, which are the same on all architectures of the receiver.
const (
	afUnix  = 1
	afInet  = 2
	afInet6 = 10
	afVsock = 40

	sockStream = 1
	sockDgram  = 2
	sockRaw    = 3

	tcpEstablished = 1
	tcpClose       = 7

	protocolTCP   = 6
	protocolUDP   = 17
	protocolMPTCP = 262
)

func (b *Builder) socket(a *attributes, c *record.Call, networkNamespace int64) {
	s := &c.Socket
	always := &b.options.Always
	transport, kind := transport(s), networkType(s)
	family, socketType, protocol := implied(s, transport, kind)
	if always.Family || !family {
		a.putUnlessEmpty(semconv.SocketFamily, sockopt.FamilyName(s.Family))
	}
	if always.Type || !socketType {
		a.putUnlessEmpty(semconv.SocketType, sockopt.TypeName(s.Type))
	}
	if always.Protocol || !protocol {
		a.putUnlessEmpty(semconv.SocketProtocol, sockopt.ProtocolName(s.Protocol, s.Family))
	}
	if transport == semconv.NetworkTransportTCP && s.State != 0 && (always.State || s.State != impliedState(c)) {
		a.putUnlessEmpty(semconv.SocketState, sockopt.TCPStateName(s.State))
	}
	if s.Cookie != 0 && (always.Cookie || !identified(s, transport)) {
		a.putStr(semconv.SocketCookie, b.text.uint(s.Cookie))
	}
	if s.NetNS != 0 && (always.NetworkNamespace || int64(s.NetNS) != networkNamespace) {
		a.putInt(semconv.SocketNetworkNamespace, int64(s.NetNS))
	}
	a.putUnlessEmpty(semconv.NetworkTransport, transport)
	a.putUnlessEmpty(semconv.NetworkType, kind)
	b.endpoint(a, s, &s.Local, &b.text.local, semconv.NetworkLocalAddress, semconv.NetworkLocalPort)
	b.endpoint(a, s, &s.Peer, &b.text.peer, semconv.NetworkPeerAddress, semconv.NetworkPeerPort)
}

// impliedState returns the TCP state that a span without socket.state stands for. An error
// that SO_ERROR returns has closed its socket, unless the connection survived it.
func impliedState(c *record.Call) uint8 {
	if c.Has(record.FlagPendingError) {
		return tcpClose
	}
	return tcpEstablished
}

// identified reports whether the addresses identify the socket: no two sockets of a
// network namespace have the same local and remote end of a TCP connection.
func identified(s *record.Socket, transport string) bool {
	return transport == semconv.NetworkTransportTCP && s.Local.Port != 0 && s.Peer.Port != 0
}

// transport returns the value of network.transport, empty if OpenTelemetry has no name for
// it.
func transport(s *record.Socket) string {
	switch {
	case s.Family == afUnix:
		return semconv.NetworkTransportUnix
	case s.Family != afInet && s.Family != afInet6, s.Type == sockRaw:
		return ""
	case s.Protocol == protocolTCP, s.Protocol == protocolMPTCP:
		return semconv.NetworkTransportTCP
	case s.Protocol == protocolUDP:
		return semconv.NetworkTransportUDP
	}
	return ""
}

// implied reports which of a socket's family, type and protocol follow from its transport
// and network type. MPTCP is tcp too, and an IPv6 socket may communicate over IPv4.
func implied(s *record.Socket, transport, kind string) (family, socketType, protocol bool) {
	switch kind {
	case semconv.NetworkTypeIPv4:
		family = s.Family == afInet
	case semconv.NetworkTypeIPv6:
		family = true
	}
	switch transport {
	case semconv.NetworkTransportTCP:
		return family, s.Type == sockStream, s.Protocol == protocolTCP
	case semconv.NetworkTransportUDP:
		return family, s.Type == sockDgram, true
	case semconv.NetworkTransportUnix: // stream, datagram or seqpacket, without a protocol
		return true, false, s.Protocol == 0
	}
	return family, false, false
}

func (b *Builder) endpoint(a *attributes, s *record.Socket, e *record.Endpoint, last *addressText, address, port string) {
	if len(e.Address) == 0 {
		return
	}
	switch s.Family {
	case afInet, afInet6:
		ip, ok := netip.AddrFromSlice(e.Address)
		if !ok {
			return
		}
		a.putStr(address, b.text.address(ip.Unmap(), last))
		// A raw socket has no ports: the kernel stores its protocol there.
		if e.Port != 0 && s.Type != sockRaw {
			a.putInt(port, int64(e.Port))
		}
	case afUnix:
		a.putUnlessEmpty(address, b.text.path(e.Address))
	case afVsock:
		if len(e.Address) != 4 {
			return
		}
		a.putStr(address, b.text.uint(uint64(binary.NativeEndian.Uint32(e.Address))))
		a.putInt(port, int64(e.Port))
	}
}

// networkType returns the value of network.type by the addresses in use: an IPv6 socket
// whose peer is an IPv4 host uses IPv4. It is empty for an IPv6 socket that is neither
// bound nor connected, which may use either later.
func networkType(s *record.Socket) string {
	switch s.Family {
	case afInet:
		return semconv.NetworkTypeIPv4
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
			return semconv.NetworkTypeIPv4
		}
		return semconv.NetworkTypeIPv6
	}
	return ""
}
