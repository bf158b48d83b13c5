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

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

func endpoint(address []byte, port uint32) record.Endpoint {
	return record.Endpoint{Address: address, Port: port}
}

func ip(s string) []byte { return netip.MustParseAddr(s).AsSlice() }

func TestSocket(t *testing.T) {
	cid := binary.NativeEndian.AppendUint32(nil, 3)
	for name, test := range map[string]struct {
		socket record.Socket
		want   map[string]any
	}{
		"TCP": {
			record.Socket{
				Family: 2, Type: 1, Protocol: 6, State: 1, NetNS: 4026531840, Cookie: 7,
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
			record.Socket{Family: 10, Type: 2, Protocol: 17, State: 7, Cookie: math.MaxUint64, Local: endpoint(ip("2001:db8::1"), 53)},
			map[string]any{
				"socket.cookie": "18446744073709551615", "network.transport": "udp", "network.type": "ipv6",
				"network.local.address": "2001:db8::1", "network.local.port": int64(53),
			},
		},
		"v4-mapped": {
			record.Socket{
				Family: 10, Type: 1, Protocol: 262, State: 7,
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
			record.Socket{Family: 10, Type: 2, Protocol: 17, Local: endpoint(ip("::"), 9), Peer: endpoint(ip("::ffff:127.0.0.2"), 2)},
			map[string]any{
				"socket.family": "AF_INET6", "network.transport": "udp", "network.type": "ipv4",
				"network.local.address": "::", "network.local.port": int64(9),
				"network.peer.address": "127.0.0.2", "network.peer.port": int64(2),
			},
		},
		"unbound IPv6": {
			record.Socket{Family: 10, Type: 2, Protocol: 17},
			map[string]any{
				"socket.family": "AF_INET6", "network.transport": "udp",
			},
		},
		"ping": {
			record.Socket{Family: 2, Type: 2, Protocol: 1},
			map[string]any{
				"socket.type": "SOCK_DGRAM", "socket.protocol": "IPPROTO_ICMP", "network.type": "ipv4",
			},
		},
		"raw TCP": {
			record.Socket{Family: 2, Type: 3, Protocol: 6, State: 7, Local: endpoint(ip("10.0.0.7"), 6)},
			map[string]any{
				"socket.type": "SOCK_RAW", "socket.protocol": "IPPROTO_TCP", "network.type": "ipv4",
				"network.local.address": "10.0.0.7",
			},
		},
		"Unix path": {
			record.Socket{Family: 1, Type: 1, State: 1, Local: endpoint([]byte("/run/a\xff.sock\x00junk"), 0), Peer: endpoint([]byte("/"), 0)},
			map[string]any{
				"socket.type": "SOCK_STREAM", "network.transport": "unix",
				"network.local.address": `/run/a\xff.sock`, "network.peer.address": "/",
			},
		},
		"abstract": {
			record.Socket{Family: 1, Type: 1, Local: endpoint([]byte("\x00a\x00b\xff\x00"), 0), Peer: endpoint([]byte{}, 0)},
			map[string]any{
				"socket.type": "SOCK_STREAM", "network.transport": "unix",
				"network.local.address": `@a@b\xff@`,
			},
		},
		"vsock": {
			record.Socket{Family: 40, Type: 1, Local: endpoint(cid, 4294967295), Peer: endpoint(cid, 0)},
			map[string]any{
				"socket.family": "AF_VSOCK", "socket.type": "SOCK_STREAM", "socket.protocol": "0",
				"network.local.address": "3", "network.local.port": int64(4294967295),
				"network.peer.address": "3", "network.peer.port": int64(0),
			},
		},
		"odd lengths": {
			record.Socket{Family: 2, Type: 1, Protocol: 6, Local: endpoint([]byte{1, 2}, 3)},
			map[string]any{
				"network.transport": "tcp", "network.type": "ipv4",
			},
		},
		"odd vsock": {
			record.Socket{Family: 40, Type: 1, Local: endpoint([]byte{1, 2}, 3)},
			map[string]any{"socket.family": "AF_VSOCK", "socket.type": "SOCK_STREAM", "socket.protocol": "0"},
		},
		"netlink": {
			record.Socket{Family: 16, Type: 3, Local: endpoint([]byte{1, 2, 3, 4}, 3)},
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
