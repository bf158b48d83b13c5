// SPDX-License-Identifier: Apache-2.0

package sockopt

import (
	"encoding/binary"
	"testing"
)

// raw puts numbers one after the other, each as wide as its type, and bytes as
// they are.
func raw(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		case be16:
			b = binary.BigEndian.AppendUint16(b, uint16(p))
		case be32:
			b = binary.BigEndian.AppendUint32(b, uint32(p))
		default:
			b, _ = binary.Append(b, binary.NativeEndian, p)
		}
	}
	return b
}

type (
	be16 uint16
	be32 uint32
)

func zeros(n int) []byte { return make([]byte, n) }

func padded(b []byte, n int) []byte { return append(b, zeros(n-len(b))...) }

func sockaddr4(a, b, c, d byte, port uint16) []byte {
	return raw(uint16(afInet), be16(port), []byte{a, b, c, d}, zeros(8))
}

func sockaddr6(port uint16, scope uint32, addr ...byte) []byte {
	return raw(uint16(afInet6), be16(port), uint32(0), padded(addr, 16), scope)
}

var mapped = []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 7}

// option finds an option of the table by its name.
func option(t testing.TB, name string) Option {
	t.Helper()
	for i := range table {
		if e := &table[i]; e.name == name {
			return e.option()
		}
	}
	t.Fatalf("no option %s", name)
	return Option{}
}

// tcpInfoBytes is a struct tcp_info of a live connection, n bytes of it.
func tcpInfoBytes(n int) []byte {
	b := zeros(280)
	for _, f := range tcpInfo.fields {
		at := b[f.off:]
		switch f.name {
		case "state":
			at[0] = 1
		case "snd_wscale":
			at[0] = 7<<4 | 9
		case "rtt":
			binary.NativeEndian.PutUint32(at, 1234)
		case "rttvar":
			binary.NativeEndian.PutUint32(at, 500)
		case "snd_cwnd":
			binary.NativeEndian.PutUint32(at, 10)
		case "total_retrans":
			binary.NativeEndian.PutUint32(at, 3)
		case "delivery_rate":
			binary.NativeEndian.PutUint64(at, 1000000)
		case "max_pacing_rate":
			binary.NativeEndian.PutUint64(at, ^uint64(0))
		}
	}
	return b[:n]
}
