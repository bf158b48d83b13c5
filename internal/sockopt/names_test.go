// SPDX-License-Identifier: Apache-2.0

package sockopt

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestErrnoName(t *testing.T) {
	for errno, want := range map[int32]string{
		0: "0", 1: "EPERM", 11: "EAGAIN", 22: "EINVAL", 512: "ERESTARTSYS", 515: "ENOIOCTLCMD", 524: "ENOTSUPP",
		529: "EIOCBQUEUED", 531: "ENOGRACE", 520: "520", 532: "532", 4095: "4095", -1: "-1", 1<<31 - 1: "2147483647",
		-1 << 31: "-2147483648",
	} {
		t.Run(want, func(t *testing.T) {
			if got := ErrnoName(errno); got != want {
				t.Errorf("%d: %s, want %s", errno, got, want)
			}
			if want[0] != 'E' {
				want = Other
			}
			if got := ErrorType(errno); got != want {
				t.Errorf("error.type of %d: %s, want %s", errno, got, want)
			}
		})
	}
}

// The UAPI headers name all errors of this architecture, and strace takes the
// first of two names.
func TestErrnoNamesAgreeWithHeaders(t *testing.T) {
	checked := 0
	for _, file := range []string{"errno-base.h", "errno.h"} {
		for _, m := range defines(t, "asm-generic/"+file, `#define\s+(E\w+)\s+(\d+)\b`) {
			n, _ := strconv.Atoi(m[2])
			checked++
			if got := ErrnoName(int32(n)); got != m[1] {
				t.Errorf("%d: %s, want %s", n, got, m[1])
			}
		}
	}
	if checked < 130 {
		t.Errorf("only %d errors", checked)
	}
}

func TestFamilyNamesAgreeWithHeaders(t *testing.T) {
	files, err := filepath.Glob("/usr/include/*/bits/socket.h")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bits/socket.h: %v", err)
	}
	header := strings.TrimPrefix(files[0], "/usr/include/")
	for _, m := range defines(t, header, `#define\s+PF_(\w+)\s+(\d+)\b`) {
		n, _ := strconv.Atoi(m[2])
		if m[1] == "MAX" {
			continue
		}
		want := "AF_" + strings.NewReplacer("DECnet", "DECnet", "LOCAL", "UNIX").Replace(m[1])
		if got := FamilyName(uint16(n)); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	if got := FamilyName(9999); got != "9999" {
		t.Errorf("got %s, want 9999", got)
	}
}

func TestProtocolNamesAgreeWithHeaders(t *testing.T) {
	for _, file := range []string{"linux/in.h", "linux/in6.h"} {
		for _, m := range defines(t, file, `(IPPROTO_\w+)\s*=?\s*(\d+)\s*[,/]`) {
			n, _ := strconv.Atoi(m[2])
			if got := ProtocolName(uint16(n), afInet); got != m[1] && m[1] != "IPPROTO_HOPOPTS" { // 0 is IPPROTO_IP
				t.Errorf("%d: %s, want %s", n, got, m[1])
			}
		}
	}
	for _, m := range defines(t, "linux/netlink.h", `#define\s+(NETLINK_[A-Z0-9_]+)\s+(\d+)\s+/\*`) {
		n, _ := strconv.Atoi(m[2])
		if strings.HasSuffix(m[1], "MEMBERSHIP") {
			break // options follow
		}
		if got := ProtocolName(uint16(n), afNetlink); got != m[1] {
			t.Errorf("%d: %s, want %s", n, got, m[1])
		}
	}
	for _, test := range []struct {
		protocol, family uint16
		want             string
	}{
		{6, afInet6, "IPPROTO_TCP"},
		{262, afInet, "IPPROTO_MPTCP"},
		{256, afInet, "IPPROTO_SMC"},
		{300, afInet, "300"},
		{768, afPacket, "768"},
		{0, afUnix, "0"},
		{6, 0, "6"},
		{7, afCAN, "CAN_J1939"},
		{3, afBluetooth, "BTPROTO_RFCOMM"},
	} {
		t.Run(FamilyName(test.family)+" "+test.want, func(t *testing.T) {
			if got := ProtocolName(test.protocol, test.family); got != test.want {
				t.Errorf("%d of %s: %s, want %s", test.protocol, FamilyName(test.family), got, test.want)
			}
		})
	}
}

func TestTCPStateName(t *testing.T) {
	for state, want := range map[uint8]string{0: "0", 1: "ESTABLISHED", 2: "SYN_SENT", 7: "CLOSE", 10: "LISTEN", 12: "NEW_SYN_RECV", 14: "14"} {
		t.Run(want, func(t *testing.T) {
			if got := TCPStateName(state); got != want {
				t.Errorf("%d: %s, want %s", state, got, want)
			}
		})
	}
}

// defines finds a pattern in an installed header.
func defines(t *testing.T, header, pattern string) [][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/usr/include", header))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1)
	if len(found) == 0 {
		t.Fatalf("%s has nothing like %s", header, pattern)
	}
	return found
}
