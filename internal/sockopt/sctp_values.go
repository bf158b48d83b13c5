// SPDX-License-Identifier: Apache-2.0

package sockopt

import "strconv"

// All of include/uapi/linux/sctp.h. An association's id is signed.
var (
	sctpStates = enum{
		"SCTP_EMPTY", "SCTP_CLOSED", "SCTP_COOKIE_WAIT", "SCTP_COOKIE_ECHOED", "SCTP_ESTABLISHED",
		"SCTP_SHUTDOWN_PENDING", "SCTP_SHUTDOWN_SENT", "SCTP_SHUTDOWN_RECEIVED", "SCTP_SHUTDOWN_ACK_SENT",
	}
	sctpPeerStates = enum{"SCTP_INACTIVE", "SCTP_PF", "SCTP_ACTIVE", "SCTP_UNCONFIRMED"}
	sctpPeerFlags  = []flag{
		{1 << 0, "SPP_HB_ENABLE"},
		{1 << 1, "SPP_HB_DISABLE"},
		{1 << 2, "SPP_HB_DEMAND"},
		{1 << 3, "SPP_PMTUD_ENABLE"},
		{1 << 4, "SPP_PMTUD_DISABLE"},
		{1 << 5, "SPP_SACKDELAY_ENABLE"},
		{1 << 6, "SPP_SACKDELAY_DISABLE"},
		{1 << 7, "SPP_HB_TIME_IS_ZERO"},
		{1 << 8, "SPP_IPV6_FLOWLABEL"},
		{1 << 9, "SPP_DSCP"},
	}
	sctpSendFlags = []flag{
		{1 << 0, "SCTP_UNORDERED"},
		{1 << 1, "SCTP_ADDR_OVER"},
		{1 << 2, "SCTP_ABORT"},
		{1 << 3, "SCTP_SACK_IMMEDIATELY"},
		{1 << 6, "SCTP_SENDALL"},
		{1 << 7, "SCTP_PR_SCTP_ALL"},
	}
	sctpPolicies = enum{0: "SCTP_PR_SCTP_NONE", 16: "SCTP_PR_SCTP_TTL", 32: "SCTP_PR_SCTP_RTX", 48: "SCTP_PR_SCTP_PRIO"}
)

var (
	sctpRTOInfo = structure(
		i32("srto_assoc_id"), u32("srto_initial").ms(), u32("srto_max").ms(), u32("srto_min").ms())
	sctpAssocParams = structure(
		i32("sasoc_assoc_id"), u16("sasoc_asocmaxrxt"), u16("sasoc_number_peer_destinations"), u32("sasoc_peer_rwnd"),
		u32("sasoc_local_rwnd"), u32("sasoc_cookie_life").ms())
	sctpInitMsg = structure(
		u16("sinit_num_ostreams"), u16("sinit_max_instreams"), u16("sinit_max_attempts"), u16("sinit_max_init_timeo").ms())
	sctpPrimary    = packed(i32("ssp_assoc_id"), storage("ssp_addr"))
	sctpAdaptation = structure(u32("ssb_adaptation_ind"))
	sctpPeerParams = packed(
		i32("spp_assoc_id"), storage("spp_address"), u32("spp_hbinterval").ms(), u16("spp_pathmaxrxt"),
		u32("spp_pathmtu"), u32("spp_sackdelay").ms(), u32("spp_flags").flagged(sctpPeerFlags),
		u32("spp_ipv6_flowlabel"), u8("spp_dscp"))
	sctpSendParams = structure( // SCTP_DEFAULT_SEND_PARAM: struct sctp_sndrcvinfo
		u16("sinfo_stream"), u16("sinfo_ssn"), u16("sinfo_flags").flagged(sctpSendFlags), u32("sinfo_ppid").as(asNetwork),
		u32("sinfo_context"), u32("sinfo_timetolive").ms(), u32("sinfo_tsn"), u32("sinfo_cumtsn"), i32("sinfo_assoc_id"))
	sctpSendInfo = structure(
		u16("snd_sid"), u16("snd_flags").flagged(sctpSendFlags), u32("snd_ppid").as(asNetwork), u32("snd_context"),
		i32("snd_assoc_id"))
	sctpEvents = structure( // struct sctp_event_subscribe, which grows
		u8("sctp_data_io_event"), u8("sctp_association_event"), u8("sctp_address_event"), u8("sctp_send_failure_event"),
		u8("sctp_peer_error_event"), u8("sctp_shutdown_event"), u8("sctp_partial_delivery_event"),
		u8("sctp_adaptation_layer_event"), u8("sctp_authentication_event"), u8("sctp_sender_dry_event"),
		u8("sctp_stream_reset_event"), u8("sctp_assoc_reset_event"), u8("sctp_stream_change_event"),
		u8("sctp_send_failure_event_event"))
	sctpStatus = structure(
		i32("sstat_assoc_id"), i32("sstat_state").named(sctpStates).summary(), u32("sstat_rwnd").summary(),
		u16("sstat_unackdata").summary(), u16("sstat_penddata").summary(), u16("sstat_instrms").summary(),
		u16("sstat_outstrms").summary(), u32("sstat_fragmentation_point"),
		// struct sctp_paddrinfo sstat_primary, which is aligned as an int
		i32("spinfo_assoc_id"), field{name: "spinfo_address", kind: asAddress, size: storageSize, pack: true, inSummary: true},
		i32("spinfo_state").named(sctpPeerStates).summary(), u32("spinfo_cwnd").summary(), u32("spinfo_srtt").ms().summary(),
		u32("spinfo_rto").ms(), u32("spinfo_mtu"))
	sctpPeerInfo = packed(
		i32("spinfo_assoc_id"), storage("spinfo_address"), i32("spinfo_state").named(sctpPeerStates), u32("spinfo_cwnd"),
		u32("spinfo_srtt").ms(), u32("spinfo_rto").ms(), u32("spinfo_mtu"))
	sctpSack        = structure(i32("sack_assoc_id"), u32("sack_delay").ms(), u32("sack_freq"))
	sctpKeyID       = structure(i32("scact_assoc_id"), u16("scact_keynumber")) // a key's number, no key
	sctpThresholds  = structure(i32("spt_assoc_id"), storage("spt_address"), u16("spt_pathmaxrxt"), u16("spt_pathpfthld"))
	sctpThresholds2 = structure(
		i32("spt_assoc_id"), storage("spt_address"), u16("spt_pathmaxrxt"), u16("spt_pathpfthld"), u16("spt_pathcpthld"))
	sctpAssocStats = structure(
		i32("sas_assoc_id"), storage("sas_obs_rto_ipaddr"), u64("sas_maxrto").ms(), u64("sas_isacks"), u64("sas_osacks"),
		u64("sas_opackets"), u64("sas_ipackets"), u64("sas_rtxchunks"), u64("sas_outofseqtsns"), u64("sas_idupchunks"),
		u64("sas_gapcnt"), u64("sas_ouodchunks"), u64("sas_iuodchunks"), u64("sas_oodchunks"), u64("sas_iodchunks"),
		u64("sas_octrlchunks"), u64("sas_ictrlchunks"))
	sctpPRInfo   = structure(i32("pr_assoc_id"), u32("pr_value"), u16("pr_policy").named(sctpPolicies))
	sctpPRStatus = structure(
		i32("sprstat_assoc_id"), u16("sprstat_sid"), u16("sprstat_policy").named(sctpPolicies),
		u64("sprstat_abandoned_unsent"), u64("sprstat_abandoned_sent"))
	sctpStreamValue = structure(i32("assoc_id"), u16("stream_id"), u16("stream_value"))
	sctpEvent       = structure(i32("se_assoc_id"), u16("se_type").as(asHex), u8("se_on"))
	sctpEncaps      = structure(i32("sue_assoc_id"), storage("sue_address"), u16("sue_port").as(asNetwork))
	sctpProbe       = structure(i32("spi_assoc_id"), storage("spi_address"), u32("spi_interval").ms())
	sctpPeelOff     = structure(i32("associd"), i32("sd"), u32("flags").as(asHex)) // sctp_peeloff_flags_arg_t
	sctpAssocValue  = structure(i32("assoc_id"), u32("assoc_value"))
)

// Options that began as an int are either that or a struct sctp_assoc_value, by the
// length (net/sctp/socket.c).
func decodeSCTPValue(v view) Value {
	if v.n <= 4 {
		return decodeInt(v)
	}
	return Value{Text: sctpAssocValue.text(v)}
}

// SCTP_GET_PEER_ADDRS, SCTP_GET_LOCAL_ADDRS: struct sctp_getaddrs, whose
// addresses follow each other without gaps.
func decodeSCTPAddrs(v view) Value {
	if !v.has(0, 8) {
		return Value{}
	}
	dst := append([]byte(nil), "{assoc_id="...)
	dst = strconv.AppendInt(dst, signed(v.unsigned(0, 4), 4), 10)
	dst = append(dst, ", addrs=["...)
	count, i := v.unsigned(4, 4), uint64(0)
	for at := 8; i < count && len(dst) < 4*maxText; i++ {
		size := sockaddrSize(v.b[min(at, len(v.b)):])
		if size == 0 || !v.has(at, size) {
			break
		}
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = appendSockaddr(dst, v.b[at:at+size])
		at += size
	}
	switch {
	case i == 0 && count > 0:
		dst = append(append(dst, cutMark...), ']')
	default:
		dst = closeList(dst, i < count)
	}
	return Value{Text: string(append(dst, '}'))}
}

// SCTP_GET_ASSOC_ID_LIST: a count, and that many ids.
func decodeSCTPIDs(v view) Value {
	if !v.has(0, 4) {
		return Value{}
	}
	return Value{Text: string(appendSources(nil, v, 4, 4, v.unsigned(0, 4), func(dst []byte, at int) []byte {
		return strconv.AppendInt(dst, signed(v.unsigned(at, 4), 4), 10)
	}))}
}

// SCTP_HMAC_IDENT: a count, and that many numbers of algorithms.
func decodeSCTPHMACs(v view) Value {
	if !v.has(0, 4) {
		return Value{}
	}
	return Value{Text: string(appendSources(nil, v, 4, 2, v.unsigned(0, 4), func(dst []byte, at int) []byte {
		return append(dst, enumName(sctpHMACs, int64(v.unsigned(at, 2)))...)
	}))}
}

var sctpHMACs = enum{1: "SCTP_AUTH_HMAC_ID_SHA1", 3: "SCTP_AUTH_HMAC_ID_SHA256"}

// SCTP_PEER_AUTH_CHUNKS, SCTP_LOCAL_AUTH_CHUNKS: an association, a count, and
// that many types of chunks.
func decodeSCTPChunks(v view) Value {
	if !v.has(0, 8) {
		return Value{}
	}
	dst := append([]byte(nil), "{gauth_assoc_id="...)
	dst = strconv.AppendInt(dst, signed(v.unsigned(0, 4), 4), 10)
	dst = append(dst, ", gauth_chunks="...)
	dst = appendSources(dst, v, 8, 1, v.unsigned(4, 4), func(dst []byte, at int) []byte {
		return strconv.AppendUint(dst, uint64(v.b[at]), 10)
	})
	return Value{Text: string(append(dst, '}'))}
}
