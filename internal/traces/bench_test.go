// SPDX-License-Identifier: Apache-2.0

package traces

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// BenchmarkAdd is the way from a decoded record to pdata, in batches of the
// receiver's size.
func BenchmarkAdd(b *testing.B) {
	tcp := call()
	tcp.Flags |= record.FlagValue | record.FlagSocket
	tcp.Comm = []byte("worker-3")
	tcp.Value = []byte{0, 0, 2, 0}
	tcp.Option = unix.SO_SNDBUF
	tcp.Socket = record.Socket{
		Family: unix.AF_INET, Type: unix.SOCK_STREAM, Protocol: unix.IPPROTO_TCP, State: unix.BPF_TCP_ESTABLISHED, NetNS: 4026531840, Cookie: 123456,
		Local: record.Endpoint{Address: ip("10.0.0.7"), Port: 40000}, Peer: record.Endpoint{Address: ip("192.0.2.1"), Port: 443},
	}
	failed := call()
	failed.Comm = []byte("worker-3")
	failed.Return = -int32(unix.ENOTSOCK)

	for name, c := range map[string]*record.Call{"tcp": tcp, "not-a-socket": failed} {
		b.Run(name, func(b *testing.B) {
			builder := New(Options{ValuesEnabled: true, PendingErrorStatus: true})
			shop := process(1, "shop")
			b.ReportAllocs()
			for b.Loop() {
				builder.Add(c, shop)
				if builder.Len() == 1000 {
					builder.Take()
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "spans/s")
		})
	}
}
