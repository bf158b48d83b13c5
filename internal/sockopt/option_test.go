// SPDX-License-Identifier: Apache-2.0

package sockopt

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
)

func TestLookup(t *testing.T) {
	bluetooth := Where{Family: afBluetooth}
	for _, test := range []struct {
		level, code int32
		where       Where
		levelName   string
		name        string // "": unknown
	}{
		{1, 4, Where{}, "SOL_SOCKET", "SO_ERROR"},
		{1, 20, Where{}, "SOL_SOCKET", "SO_RCVTIMEO"},
		{1, 66, Where{}, "SOL_SOCKET", "SO_RCVTIMEO_NEW"},
		{1, 29, Where{}, "SOL_SOCKET", "SO_TIMESTAMP"},
		{1, 63, Where{}, "SOL_SOCKET", "SO_TIMESTAMP_NEW"},
		{1, 26, Where{}, "SOL_SOCKET", "SO_GET_FILTER"},
		{1, 83, Where{}, "SOL_SOCKET", "SO_PASSRIGHTS"}, // 6.16
		{1, 84, Where{}, "SOL_SOCKET", "SO_INQ"},        // 7.0

		// 11 is SO_NO_CHECK to SOL_SOCKET alone.
		{1, 11, Where{}, "SOL_SOCKET", "SO_NO_CHECK"},
		{6, 11, Where{}, "IPPROTO_TCP", "TCP_INFO"},
		{0, 11, Where{}, "IPPROTO_IP", "IP_RECVERR"},

		// The numbers of Bluetooth's levels belong to IP protocols elsewhere.
		{6, 1, Where{Family: afInet}, "IPPROTO_TCP", "TCP_NODELAY"},
		{6, 1, bluetooth, "SOL_L2CAP", "L2CAP_OPTIONS"},
		{6, 11, bluetooth, "SOL_L2CAP", ""},
		{17, 1, bluetooth, "SOL_SCO", "SCO_OPTIONS"},
		{17, 1, Where{}, "IPPROTO_UDP", "UDP_CORK"},
		{0, 2, bluetooth, "SOL_HCI", "HCI_FILTER"},
		{0, 2, Where{}, "IPPROTO_IP", "IP_TTL"},
		{18, 2, Where{}, "SOL_RFCOMM", "RFCOMM_CONNINFO"},
		{274, 17, bluetooth, "SOL_BLUETOOTH", "BT_ISO_QOS"},

		// Netfilter's ranges at IP and IPv6.
		{0, 64, Where{}, "IPPROTO_IP", "IPT_SO_GET_INFO"},
		{0, 80, Where{}, "IPPROTO_IP", "SO_ORIGINAL_DST"},
		{0, 96, Where{}, "IPPROTO_IP", "ARPT_SO_GET_INFO"},
		{0, 128, Where{}, "IPPROTO_IP", "EBT_SO_GET_INFO"},
		{0, 206, Where{}, "IPPROTO_IP", "MRT_VERSION"},
		{0, 1152, Where{}, "IPPROTO_IP", "IP_VS_SO_GET_VERSION"},
		{41, 64, Where{}, "IPPROTO_IPV6", "IP6T_SO_GET_INFO"},
		{41, 80, Where{}, "IPPROTO_IPV6", "IP6T_SO_ORIGINAL_DST"},
		{41, 206, Where{}, "IPPROTO_IPV6", "MRT6_VERSION"},

		{255, 1, Where{}, "SOL_RAW", "ICMP_FILTER"},
		{255, 7, Where{Family: afInet6}, "SOL_RAW", "IPV6_CHECKSUM"},
		{255, 7, Where{Family: afInet}, "SOL_RAW", ""},
		{255, 7, Where{}, "SOL_RAW", "IPV6_CHECKSUM"},
		{255, 36, Where{Family: afInet6}, "SOL_RAW", "IPV6_HDRINCL"},
		{255, 36, Where{Family: afInet}, "SOL_RAW", ""},
		{0, 0, Where{}, "IPPROTO_IP", ""}, // WPAN_WANTACK, at a level of its own name
		{40, 6, Where{}, "AF_VSOCK", "SO_VM_SOCKETS_CONNECT_TIMEOUT"},
		{136, 10, Where{}, "SOL_UDPLITE", "UDPLITE_SEND_CSCOV"},
		{276, 10001, Where{}, "SOL_RDS", "RDS_INFO_CONNECTIONS"},
		{264, 0x42020054, Where{}, "SOL_ATM", "SO_ATMQOS"},
		{106, 1, Where{}, "SOL_CAN_ISOTP", "CAN_ISOTP_OPTS"},
		{107, 2, Where{}, "SOL_CAN_J1939", "SO_J1939_PROMISC"},
		{284, 1, Where{}, "SOL_MPTCP", "MPTCP_INFO"},

		// None of the kernels from 5.10 on has these.
		{6, 15, Where{}, "IPPROTO_TCP", ""},
		{266, 1, Where{}, "SOL_IRDA", ""},
		{1, -1, Where{}, "SOL_SOCKET", ""},
		{-1, 1, Where{}, "_OTHER", ""},
		{1 << 30, 1, Where{}, "_OTHER", ""},
	} {
		t.Run(fmt.Sprintf("level %d option %d family %d", test.level, test.code, test.where.Family), func(t *testing.T) {
			o, ok := Lookup(test.level, test.code, test.where)
			if ok != (test.name != "") || o.Name != test.name {
				t.Errorf("(%d, %d, %+v): option %q, want %q", test.level, test.code, test.where, o.Name, test.name)
			}
			if got := LevelName(test.level, test.where); got != test.levelName {
				t.Errorf("(%d, %+v): level %q, want %q", test.level, test.where, got, test.levelName)
			}
		})
	}
}

func TestTableIsSorted(t *testing.T) {
	sorted := slices.IsSortedFunc(table, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.level, b.level), cmp.Compare(a.code, b.code))
	})
	if !sorted {
		t.Error("binary search needs a sorted table")
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { Lookup(6, 11, Where{Family: afInet}) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestFindByName(t *testing.T) {
	if got := Find("SOL_SOCKET", "SO_ERROR"); len(got) != 1 || got[0].Code != 4 {
		t.Errorf("SO_ERROR: %+v", got)
	}
	if got := Find("SOL_L2CAP", "*"); len(got) != 3 {
		t.Errorf("SOL_L2CAP: got %+v, want three options", got)
	}
	if got := Find("IPPROTO_TCP", "SO_ERROR"); got != nil {
		t.Errorf("SO_ERROR at TCP: %+v", got)
	}
	for _, o := range Find("IPPROTO_TCP", "*") {
		if back, ok := Lookup(o.Level, o.Code, Where{}); !ok || back != o {
			t.Errorf("%+v looks up as %+v", o, back)
		}
	}
}

// The options that must never leave the kernel, by name and not by table, so
// that the table cannot lose one uncovered.
func TestCopyRulesHaveNoSecret(t *testing.T) {
	secrets := [][2]int32{
		{282, 1}, {282, 2}, // TLS_TX, TLS_RX
		{6, 14}, {6, 32}, {6, 33}, // TCP_MD5SIG, TCP_MD5SIG_EXT, TCP_FASTOPEN_KEY
		{6, 38}, {6, 39}, {6, 41}, // TCP_AO_ADD_KEY, TCP_AO_DEL_KEY, TCP_AO_GET_KEYS
		{132, 23},                              // SCTP_AUTH_KEY
		{279, 1}, {279, 2}, {279, 6}, {279, 7}, // ALG_SET_KEY, _IV, _DRBG_ENTROPY, _KEY_BY_KEY_SERIAL
		{0, 16}, {0, 17}, {41, 34}, {41, 35}, // IPsec and XFRM policies
		{272, 1}, {272, 2}, // RXRPC_SECURITY_KEY, _KEYRING
	}
	rules := CopyRules()
	for _, s := range secrets {
		if slices.ContainsFunc(rules, func(r CopyRule) bool { return r.Level == s[0] && r.Code == s[1] }) {
			t.Errorf("(%d, %d) may be copied", s[0], s[1])
		}
	}
	for _, s := range secrets {
		o, ok := Lookup(s[0], s[1], Where{})
		if !ok || !o.Secret {
			t.Errorf("(%d, %d), %q: not known to be secret", s[0], s[1], o.Name)
		}
		if v := o.Format([]byte("0123456789abcdef"), 16, Where{}); v != (Value{Text: Redacted}) {
			t.Errorf("%s: got %+v, want %s", o.Name, v, Redacted)
		}
		if f := Expand(o, []byte("0123456789abcdef"), 16); f != nil {
			t.Errorf("%s expands to %+v", o.Name, f)
		}
	}
}

// What has no rule stays in the kernel: every rule stands for rows that all
// have a layout, and every row with one is covered.
func TestCopyRulesDenyByDefault(t *testing.T) {
	allowed := make(map[[2]int32]uint16)
	for _, r := range CopyRules() {
		if r.Max == 0 {
			t.Errorf("(%d, %d) may be copied, and no byte of it", r.Level, r.Code)
		}
		allowed[[2]int32{r.Level, r.Code}] = r.Max
	}
	for i := range table {
		e := &table[i]
		limit, ok := allowed[[2]int32{e.level, e.code}]
		switch {
		case e.layout == LayoutSecret && ok:
			t.Errorf("%s is secret and may be copied", e.name)
		case e.layout == LayoutUnknown && ok && ownLevel(e.level, e.family) == "":
			t.Errorf("%s has no layout and may be copied", e.name)
		case ok && limit < e.layout.maxCopy():
			t.Errorf("%s needs %d bytes, %d may be copied", e.name, e.layout.maxCopy(), limit)
		}
	}
	if len(allowed) < 300 {
		t.Errorf("only %d options may be copied", len(allowed))
	}
}

// A pair that is secret to one family is denied to all.
func TestCopyRulesLookAtAllFamilies(t *testing.T) {
	rows := table
	defer func() { table = rows }()
	table = []entry{
		{level: 6, code: 1, layout: LayoutInt, name: "TCP_NODELAY"},
		{level: 6, code: 1, family: afBluetooth, layout: LayoutSecret, name: "KEY"},
		{level: 6, code: 2, layout: LayoutInt, name: "TCP_MAXSEG"},
	}
	want := []CopyRule{{Level: 6, Code: 2, Max: 4}}
	if got := CopyRules(); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
