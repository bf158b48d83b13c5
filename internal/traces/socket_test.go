// SPDX-License-Identifier: Apache-2.0

package traces

import (
	"encoding/binary"
	"maps"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

func endpoint(address []byte, port uint32) record.Endpoint {
	return record.Endpoint{Address: address, Port: port}
}

func ip(s string) []byte { return netip.MustParseAddr(s).AsSlice() }

func TestSocketAttributes(t *testing.T) {
	cid := binary.NativeEndian.AppendUint32(nil, 3)
	for name, test := range map[string]struct {
		socket record.Socket
		want   map[string]any
	}{
		"TCP": {
			record.Socket{
				Family: unix.AF_INET, Type: unix.SOCK_STREAM, Protocol: unix.IPPROTO_TCP, State: unix.BPF_TCP_ESTABLISHED, NetNS: 4026531840, Cookie: 7,
				Local: endpoint(ip("10.0.0.7"), 40000), Peer: endpoint(ip("192.0.2.1"), 443),
			},
			map[string]any{
				"socket.network_namespace": int64(4026531840),
				"network.transport":        "tcp", "network.type": "ipv4",
				"network.local.address": "10.0.0.7", "network.local.port": int64(40000),
				"network.peer.address": "192.0.2.1", "network.peer.port": int64(443),
			},
		},
		"IPv6 and UDP": {
			record.Socket{Family: unix.AF_INET6, Type: unix.SOCK_DGRAM, Protocol: unix.IPPROTO_UDP, State: unix.BPF_TCP_CLOSE, Cookie: math.MaxUint64, Local: endpoint(ip("2001:db8::1"), 53)},
			map[string]any{
				"socket.cookie": "18446744073709551615", "network.transport": "udp", "network.type": "ipv6",
				"network.local.address": "2001:db8::1", "network.local.port": int64(53),
			},
		},
		"v4-mapped": {
			record.Socket{
				Family: unix.AF_INET6, Type: unix.SOCK_STREAM, Protocol: unix.IPPROTO_MPTCP, State: unix.BPF_TCP_CLOSE,
				Local: endpoint(ip("::ffff:127.0.0.1"), 1), Peer: endpoint(ip("::ffff:127.0.0.2"), 2),
			},
			map[string]any{
				"socket.family": "AF_INET6", "socket.protocol": "IPPROTO_MPTCP",
				"socket.state": "CLOSE", "network.transport": "tcp", "network.type": "ipv4",
				"network.local.address": "127.0.0.1", "network.local.port": int64(1),
				"network.peer.address": "127.0.0.2", "network.peer.port": int64(2),
			},
		},
		"v4-mapped peer of any": {
			record.Socket{Family: unix.AF_INET6, Type: unix.SOCK_DGRAM, Protocol: unix.IPPROTO_UDP, Local: endpoint(ip("::"), 9), Peer: endpoint(ip("::ffff:127.0.0.2"), 2)},
			map[string]any{
				"socket.family": "AF_INET6", "network.transport": "udp", "network.type": "ipv4",
				"network.local.address": "::", "network.local.port": int64(9),
				"network.peer.address": "127.0.0.2", "network.peer.port": int64(2),
			},
		},
		"unbound IPv6": {
			record.Socket{Family: unix.AF_INET6, Type: unix.SOCK_DGRAM, Protocol: unix.IPPROTO_UDP},
			map[string]any{
				"socket.family": "AF_INET6", "network.transport": "udp",
			},
		},
		"ping": {
			record.Socket{Family: unix.AF_INET, Type: unix.SOCK_DGRAM, Protocol: unix.IPPROTO_ICMP},
			map[string]any{
				"socket.type": "SOCK_DGRAM", "socket.protocol": "IPPROTO_ICMP", "network.type": "ipv4",
			},
		},
		"raw TCP": {
			record.Socket{Family: unix.AF_INET, Type: unix.SOCK_RAW, Protocol: unix.IPPROTO_TCP, State: unix.BPF_TCP_CLOSE, Local: endpoint(ip("10.0.0.7"), 6)},
			map[string]any{
				"socket.type": "SOCK_RAW", "socket.protocol": "IPPROTO_TCP", "network.type": "ipv4",
				"network.local.address": "10.0.0.7",
			},
		},
		"Unix path": {
			record.Socket{Family: unix.AF_UNIX, Type: unix.SOCK_STREAM, State: unix.BPF_TCP_ESTABLISHED, Local: endpoint([]byte("/run/a\xff.sock\x00junk"), 0), Peer: endpoint([]byte("/"), 0)},
			map[string]any{
				"socket.type": "SOCK_STREAM", "network.transport": "unix",
				"network.local.address": `/run/a\xff.sock`, "network.peer.address": "/",
			},
		},
		"abstract": {
			record.Socket{Family: unix.AF_UNIX, Type: unix.SOCK_STREAM, Local: endpoint([]byte("\x00a\x00b\xff\x00"), 0), Peer: endpoint([]byte{}, 0)},
			map[string]any{
				"socket.type": "SOCK_STREAM", "network.transport": "unix",
				"network.local.address": `@a@b\xff@`,
			},
		},
		"vsock": {
			record.Socket{Family: unix.AF_VSOCK, Type: unix.SOCK_STREAM, Local: endpoint(cid, 4294967295), Peer: endpoint(cid, 0)},
			map[string]any{
				"socket.family": "AF_VSOCK", "socket.type": "SOCK_STREAM", "socket.protocol": "0",
				"network.local.address": "3", "network.local.port": int64(4294967295),
				"network.peer.address": "3", "network.peer.port": int64(0),
			},
		},
		"odd lengths": {
			record.Socket{Family: unix.AF_INET, Type: unix.SOCK_STREAM, Protocol: unix.IPPROTO_TCP, Local: endpoint([]byte{1, 2}, 3)},
			map[string]any{
				"network.transport": "tcp", "network.type": "ipv4",
			},
		},
		"odd vsock": {
			record.Socket{Family: unix.AF_VSOCK, Type: unix.SOCK_STREAM, Local: endpoint([]byte{1, 2}, 3)},
			map[string]any{"socket.family": "AF_VSOCK", "socket.type": "SOCK_STREAM", "socket.protocol": "0"},
		},
		"netlink": {
			record.Socket{Family: unix.AF_NETLINK, Type: unix.SOCK_RAW, Local: endpoint([]byte{1, 2, 3, 4}, 3)},
			map[string]any{"socket.family": "AF_NETLINK", "socket.type": "SOCK_RAW", "socket.protocol": "NETLINK_ROUTE"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := call()
			c.Flags |= record.FlagSocket
			c.Socket = test.socket
			got := one(t, Options{}, c).Attributes().AsRaw()
			maps.DeleteFunc(got, func(key string, _ any) bool {
				return !strings.HasPrefix(key, "socket.") && !strings.HasPrefix(key, "network.") ||
					strings.HasPrefix(key, "socket.option.") || key == "socket.entry" || key == "socket.fd"
			})
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("\ngot  %v\nwant %v", got, test.want)
			}
		})
	}
}
