// SPDX-License-Identifier: Apache-2.0

package sockopt

import (
	"net/netip"
	"strconv"
)

// IP_MSFILTER: struct ip_msfilter, whose sources follow its 16 bytes.
func decodeMSFilter(v view) Value {
	if !v.has(0, 16) {
		return Value{}
	}
	dst := append([]byte(nil), "{imsf_multiaddr="...)
	dst = netip.AddrFrom4([4]byte(v.b[0:4])).AppendTo(dst)
	dst = append(dst, ", imsf_interface="...)
	dst = netip.AddrFrom4([4]byte(v.b[4:8])).AppendTo(dst)
	dst = append(dst, ", imsf_fmode="...)
	dst = append(dst, enumName(filterModes, int64(v.unsigned(8, 4)))...)
	dst = append(dst, ", imsf_slist="...)
	dst = appendSources(dst, v, 16, 4, v.unsigned(12, 4), func(dst []byte, at int) []byte {
		return netip.AddrFrom4([4]byte(v.b[at:])).AppendTo(dst)
	})
	return Value{Text: string(append(dst, '}'))}
}

// MCAST_MSFILTER: struct group_filter. Its addresses are aligned as a long, so
// that a 32-bit caller's one (compat_group_filter) has no hole.
func decodeGroupFilter(v view) Value {
	group := 8
	if v.where.Compat {
		group = 4
	}
	mode, sources := group+storageSize, group+storageSize+8
	if !v.has(0, sources) {
		return Value{}
	}
	dst := append([]byte(nil), "{gf_interface="...)
	dst = strconv.AppendUint(dst, v.unsigned(0, 4), 10)
	dst = append(dst, ", gf_group="...)
	dst = appendSockaddr(dst, v.b[group:mode])
	dst = append(dst, ", gf_fmode="...)
	dst = append(dst, enumName(filterModes, int64(v.unsigned(mode, 4)))...)
	dst = append(dst, ", gf_slist="...)
	dst = appendSources(dst, v, sources, storageSize, v.unsigned(mode+4, 4), func(dst []byte, at int) []byte {
		return appendSockaddr(dst, v.b[at:at+storageSize])
	})
	return Value{Text: string(append(dst, '}'))}
}

// appendSources appends those of count items that lie inside the view.
func appendSources(dst []byte, v view, at, size int, count uint64, item func([]byte, int) []byte) []byte {
	dst = append(dst, '[')
	i := uint64(0)
	for ; i < count && v.has(at, size) && len(dst) < 4*maxText; i++ {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = item(dst, at)
		at += size
	}
	if i == 0 && count > 0 {
		return append(append(dst, cutMark...), ']')
	}
	return closeList(dst, i < count)
}

// IP_LOCAL_PORT_RANGE (6.3): the lowest port in the low half, the highest in
// the high one; 0 for the host's own limit (man 7 ip).
func decodePortRange(v view) Value {
	u, ok := v.u32(0)
	if !ok {
		return Value{}
	}
	return namedNumber(utoa(uint64(u&0xffff))+"-"+utoa(uint64(u>>16)), int64(u))
}

// IP_PKTOPTIONS and IPV6_2292PKTOPTIONS return control messages, whose types are options
// of their level. The value is the names of these.
func decodeControl(v view) Value {
	word := 8
	if v.where.Compat {
		word = 4
	}
	head := word + 8 // struct cmsghdr: size_t, int, int
	dst := append([]byte(nil), '[')
	for at := 0; v.has(at, head) && len(dst) < 4*maxText; {
		level, code := int32(v.unsigned(at+word, 4)), int32(v.unsigned(at+word+4, 4))
		dst = appendComma(dst)
		if o, ok := Lookup(level, code, v.where); ok {
			dst = append(dst, o.Name...)
		} else {
			dst = append(append(append(dst, LevelName(level, v.where)...), '/'), itoa(int64(code))...)
		}
		size := v.unsigned(at, word)
		if size < uint64(head) || size > uint64(len(v.b)) {
			break
		}
		at += (int(size) + word - 1) / word * word
	}
	if len(dst) == 1 {
		return Value{}
	}
	return Value{Text: string(closeList(dst, v.cut()))}
}

// IP_VS_SO_GET_DAEMON: the master and the backup, as far as they run.
func decodeIPVSDaemons(v view) Value {
	return list(v, ipvsDaemon.size, func(dst []byte, at int) []byte {
		return append(dst, ipvsDaemon.text(view{b: v.b[at : at+ipvsDaemon.size], n: uint32(ipvsDaemon.size)})...)
	})
}

var (
	ipvsStates = enum{"IP_VS_STATE_NONE", "IP_VS_STATE_MASTER", "IP_VS_STATE_BACKUP"}
	ipvsDaemon = structure(i32("state").named(ipvsStates), chars("mcast_ifn", 16), i32("syncid"))
)

// ICMP_FILTER is a mask of the ICMP types that are dropped.
func decodeICMPFilter(v view) Value {
	u, ok := v.u32(0)
	if !ok {
		return Value{}
	}
	return namedNumber(string(append(appendBits(nil, v.b[:4], v.bit), ']')), int64(u))
}

// ICMPV6_FILTER is 256 bits, one for each type that is dropped; a program may
// ask for fewer.
func decodeICMPv6Filter(v view) Value {
	whole := min(len(v.b), 32) / 4 * 4
	if whole == 0 {
		return Value{}
	}
	return Value{Text: string(closeMembers(appendBits(nil, v.b[:whole], v.bit), v.cut()))}
}

// NETLINK_LIST_MEMBERSHIPS is a bitmap of groups, the first of which is 1.
func decodeMembership(v view) Value {
	whole := len(v.b) / 4 * 4
	if whole == 0 {
		return Value{}
	}
	dst := append([]byte(nil), '[')
	for i := 0; i < 8*whole && len(dst) < 4*maxText; i++ {
		if v.bit(i) {
			dst = strconv.AppendInt(appendComma(dst), int64(i+1), 10)
		}
	}
	return Value{Text: string(closeMembers(dst, v.cut()))}
}

func closeMembers(dst []byte, cut bool) []byte {
	if cut && len(dst) == 1 {
		return append(append(dst, cutMark...), ']')
	}
	return closeList(dst, cut)
}

func appendComma(dst []byte) []byte {
	if len(dst) > 1 {
		return append(dst, ", "...)
	}
	return dst
}

// bit reads bitmaps that are arrays of 32-bit words.
func (v view) bit(i int) bool { return v.unsigned(i/32*4, 4)>>(i%32)&1 == 1 }

// appendBits appends the numbers of the bits that are set, runs as ranges: [0-2, 8. The
// caller closes the list.
func appendBits(dst, b []byte, set func(int) bool) []byte {
	dst = append(dst, '[')
	for i := 0; i < 8*len(b); i++ {
		if !set(i) {
			continue
		}
		last := i
		for last+1 < 8*len(b) && set(last+1) {
			last++
		}
		dst = strconv.AppendInt(appendComma(dst), int64(i), 10)
		if last > i {
			dst = strconv.AppendInt(append(dst, '-'), int64(last), 10)
		}
		i = last
	}
	return dst
}

var filterModes = enum{"MCAST_EXCLUDE", "MCAST_INCLUDE"}

// include/uapi/linux/in.h and in6.h
var (
	pmtuDiscovery = enum{
		"IP_PMTUDISC_DONT", "IP_PMTUDISC_WANT", "IP_PMTUDISC_DO", "IP_PMTUDISC_PROBE", "IP_PMTUDISC_INTERFACE",
		"IP_PMTUDISC_OMIT",
	}
	pmtuDiscovery6 = enum{
		"IPV6_PMTUDISC_DONT", "IPV6_PMTUDISC_WANT", "IPV6_PMTUDISC_DO", "IPV6_PMTUDISC_PROBE",
		"IPV6_PMTUDISC_INTERFACE", "IPV6_PMTUDISC_OMIT",
	}
	addrPreferences = []flag{
		{0x0001, "IPV6_PREFER_SRC_TMP"},
		{0x0002, "IPV6_PREFER_SRC_PUBLIC"},
		{0x0100, "IPV6_PREFER_SRC_PUBTMP_DEFAULT"},
		{0x0004, "IPV6_PREFER_SRC_COA"},
		{0x0400, "IPV6_PREFER_SRC_HOME"},
		{0x0008, "IPV6_PREFER_SRC_CGA"},
		{0x0800, "IPV6_PREFER_SRC_NONCGA"},
	}
)

var hooks = []flag{
	{1 << 0, "NF_INET_PRE_ROUTING"},
	{1 << 1, "NF_INET_LOCAL_IN"},
	{1 << 2, "NF_INET_FORWARD"},
	{1 << 3, "NF_INET_LOCAL_OUT"},
	{1 << 4, "NF_INET_POST_ROUTING"},
}

var (
	// struct ipt_getinfo, the same for ip6tables; between the hooks and the
	// number of entries stand two arrays of five offsets into the table.
	xtInfo = structure(
		chars("name", 32), u32("valid_hooks").flagged(hooks), padding(40), u32("num_entries"), u32("size"))

	// struct arpt_getinfo: three hooks, and an enum of their own.
	arptInfo = structure(chars("name", 32), u32("valid_hooks").as(asHex), padding(24), u32("num_entries"), u32("size"))

	// The head of struct ebt_replace; what follows are pointers.
	ebtInfo = structure(chars("name", 32), u32("valid_hooks").as(asHex), u32("nentries"), u32("entries_size"))

	// The head of struct ipt_get_entries and its like; then come the rules.
	xtEntries = structure(chars("name", 32), u32("size"))

	xtRevision   = structure(chars("name", 29), u8("revision")) // struct xt_get_revision
	ipvsInfo     = structure(u32("version").as(asHex), u32("size"), u32("num_services"))
	ipvsServices = structure(u32("num_services"))
	ipvsService  = structure(
		u16("protocol").named(inetProtocols), u32("addr").as(asIPv4), u16("port").as(asNetwork), u32("fwmark"),
		chars("sched_name", 16), u32("flags").as(asHex), u32("timeout"), u32("netmask").as(asIPv4), u32("num_dests"))
	ipvsDests = structure(
		u16("protocol").named(inetProtocols), u32("addr").as(asIPv4), u16("port").as(asNetwork), u32("fwmark"),
		u32("num_dests"))
	ipvsTimeout = structure(i32("tcp_timeout"), i32("tcp_fin_timeout"), i32("udp_timeout"))
	ipSet       = structure(u32("op").as(asHex), u32("version")) // the head of struct ip_set_req_*

	// struct ip6_mtuinfo: a struct sockaddr_in6 and a number.
	pathMTU = structure(field{name: "ip6m_addr", kind: asAddress, size: 28}, u32("ip6m_mtu"))

	flowLabel = structure(
		field{name: "flr_dst", kind: asIPv6, size: 16}, u32("flr_label").as(asNetwork), u8("flr_action"),
		u8("flr_share"), u16("flr_flags").as(asHex), u16("flr_expires"), u16("flr_linger"))
)
