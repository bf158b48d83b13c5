// SPDX-License-Identifier: Apache-2.0

package sockopt

import "testing"

func BenchmarkLookup(b *testing.B) {
	for b.Loop() {
		Lookup(6, 11, Where{Family: afInet})
	}
}

func BenchmarkFormatError(b *testing.B) {
	o, value := option(b, "SO_ERROR"), raw(int32(111))
	b.ReportAllocs()
	for b.Loop() {
		o.Format(value, 4, Where{Family: afInet})
	}
}

func BenchmarkFormatInt(b *testing.B) {
	o, value := option(b, "SO_RCVBUF"), raw(int32(131072))
	b.ReportAllocs()
	for b.Loop() {
		o.Format(value, 4, Where{Family: afInet})
	}
}

func BenchmarkFormatTCPInfo(b *testing.B) {
	o, value := option(b, "TCP_INFO"), tcpInfoBytes(280)
	b.ReportAllocs()
	for b.Loop() {
		o.Format(value, 280, Where{Family: afInet})
	}
}

func BenchmarkExpandTCPInfo(b *testing.B) {
	o, value := option(b, "TCP_INFO"), tcpInfoBytes(280)
	b.ReportAllocs()
	for b.Loop() {
		Expand(o, value, 280)
	}
}
