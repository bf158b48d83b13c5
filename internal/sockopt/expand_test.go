// SPDX-License-Identifier: Apache-2.0

package sockopt

import "testing"

func TestExpandTCPInfo(t *testing.T) {
	o := option(t, "TCP_INFO")
	got := make(map[string]Field)
	for _, f := range Expand(o, tcpInfoBytes(280), 280) {
		if _, ok := got[f.Name]; ok {
			t.Errorf("%s twice", f.Name)
		}
		got[f.Name] = f
	}
	for _, want := range []Field{
		{Name: "tcp.info.state", Text: "ESTABLISHED"},
		{Name: "tcp.info.rtt_us", Int: 1234, HasInt: true},
		{Name: "tcp.info.snd_cwnd", Int: 10, HasInt: true},
		{Name: "tcp.info.total_retrans", Int: 3, HasInt: true},
		{Name: "tcp.info.snd_wscale", Int: 9, HasInt: true},
		{Name: "tcp.info.rcv_wscale", Int: 7, HasInt: true},
		{Name: "tcp.info.max_pacing_rate", Int: -1, HasInt: true},
		{Name: "tcp.info.last_data_sent_ms", HasInt: true},
		{Name: "tcp.info.busy_time_us", HasInt: true},
		{Name: "tcp.info.total_rto_time_ms", HasInt: true},
		{Name: "tcp.info.received_ce_bytes", HasInt: true},
	} {
		t.Run(want.Name, func(t *testing.T) {
			if got[want.Name] != want {
				t.Errorf("got %+v, want %+v", got[want.Name], want)
			}
		})
	}
	if len(got) != len(tcpInfo.fields) {
		t.Errorf("%d attributes of %d members", len(got), len(tcpInfo.fields))
	}
	// What an older kernel did not return is absent, not 0.
	for _, f := range Expand(o, tcpInfoBytes(280), 104) {
		if f.Name == "tcp.info.delivery_rate" || f.Name == "tcp.info.pacing_rate" {
			t.Errorf("%s of a kernel that has none", f.Name)
		}
	}
}

func TestExpandOthers(t *testing.T) {
	got := Expand(option(t, "SO_LINGER"), raw(int32(1), int32(5)), 8)
	want := []Field{{Name: "socket.so_linger.l_onoff", Int: 1, HasInt: true}, {Name: "socket.so_linger.l_linger", Int: 5, HasInt: true}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if CanExpand(option(t, "SO_RCVBUF")) || Expand(option(t, "SO_RCVBUF"), raw(int32(1)), 4) != nil {
		t.Error("an int has no members")
	}
}
