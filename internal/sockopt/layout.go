// SPDX-License-Identifier: Apache-2.0

package sockopt

// Layout is how the bytes of a value are laid out. The zero Layout is an unknown one,
// whose bytes are neither copied nor formatted.
type Layout uint8

// The layouts that are not the structure of one option.
const (
	LayoutUnknown Layout = iota
	LayoutSecret         // key material: never copied, never formatted

	LayoutInt    // int
	LayoutUint   // unsigned int, or a shorter one
	LayoutUint64 // u64
	LayoutHex    // u32 that is a mask
	LayoutRate   // u32 or u64; all ones: no limit
	LayoutString
	LayoutBytes   // formatted in hexadecimal
	LayoutAddress // struct sockaddr of any family
	LayoutIPv4    // struct in_addr
	LayoutIfindex // interface index in network order

	LayoutErrno
	LayoutSocketType
	LayoutFamily
	LayoutProtocol
	LayoutTimeval    // struct timeval of the caller's word size
	LayoutTimeval64  // struct __kernel_sock_timeval
	LayoutFilter     // classic BPF: the length counts instructions
	LayoutGroups     // gid_t[]
	LayoutMembership // bitmap of netlink groups
	LayoutICMPFilter
	LayoutICMPv6Filter
	LayoutPortRange
	LayoutTimestamping
	LayoutTxRehash
	LayoutBufLock
	LayoutPMTUDiscovery
	LayoutPMTUDiscovery6
	LayoutAddrPreferences
	LayoutRepairQueue
	LayoutUDPEncap
	LayoutTpacketVersion
	LayoutFanout
	LayoutTIPCImportance
	LayoutRDSTransport
	LayoutL2CAPMode
	LayoutRFCOMMMode
	LayoutPHY
	LayoutChannelMode
	LayoutXDPOptions
	LayoutCongestionInfo
	LayoutMSFilter
	LayoutGroupFilter
	LayoutCANFilter
	LayoutCCIDs
	LayoutServiceCodes
	LayoutMPTCPTCPInfo
	LayoutMPTCPAddrs
	LayoutSCTPAddrs
	LayoutSCTPIDs
	LayoutSCTPHMACs
	LayoutSCTPChunks
	LayoutSCTPValue
	LayoutControl // struct cmsghdr[]
	LayoutIPVSDaemons

	// Structures, each described by a schema.
	LayoutLinger
	LayoutUcred
	LayoutMemInfo
	LayoutTxTime
	LayoutXTInfo
	LayoutARPTInfo
	LayoutEBTInfo
	LayoutXTEntries
	LayoutXTRevision
	LayoutIPVSInfo
	LayoutIPVSTimeout
	LayoutPathMTU
	LayoutFlowLabel
	LayoutTCPInfo
	LayoutTCPRepairWindow
	LayoutTCPZeroCopy
	LayoutTCPAOInfo
	LayoutMPTCPInfo
	LayoutMPTCPFullInfo
	LayoutPacketStatistics
	LayoutRolloverStatistics
	LayoutXDPOffsets
	LayoutXDPStatistics
	LayoutVCID
	LayoutISOTPOptions
	LayoutISOTPFlowControl
	LayoutISOTPLinkLayer
	LayoutTIPCGroup
	LayoutBTSecurity
	LayoutHCIFilter
	LayoutL2CAPOptions
	LayoutConnInfo
	LayoutSCTPRTOInfo
	LayoutSCTPAssocParams
	LayoutSCTPInitMsg
	LayoutSCTPPrimary
	LayoutSCTPAdaptation
	LayoutSCTPPeerParams
	LayoutSCTPSendParams
	LayoutSCTPEvents
	LayoutSCTPStatus
	LayoutSCTPPeerInfo
	LayoutSCTPSack
	LayoutSCTPKeyID
	LayoutSCTPThresholds
	LayoutSCTPThresholds2
	LayoutSCTPSendInfo
	LayoutSCTPAssocStats
	LayoutSCTPPRInfo
	LayoutSCTPPRStatus
	LayoutSCTPStreamValue
	LayoutSCTPEvent
	LayoutSCTPEncaps
	LayoutSCTPProbe
	LayoutSCTPPeelOff
	LayoutIPSet
	LayoutIPVSServices
	LayoutIPVSService
	LayoutIPVSDests
	LayoutATMQoS
	LayoutATMPVC
	LayoutTFRCReceiver
	LayoutTFRCSender

	layoutCount
)

// layout is how a Layout is decoded: by a schema or by a function.
type layout struct {
	max    uint16 // bytes worth copying; 0 for a structure: its size
	fields *schema
	decode func(view) Value
}

// listMax is how many bytes of a list or string are worth copying: the text of more
// would exceed maxText.
const listMax = 1024

var layouts = [layoutCount]layout{
	LayoutInt:             {max: 4, decode: decodeInt},
	LayoutUint:            {max: 4, decode: decodeUint},
	LayoutUint64:          {max: 8, decode: decodeUint64},
	LayoutHex:             {max: 4, decode: decodeHex},
	LayoutRate:            {max: 8, decode: decodeRate},
	LayoutString:          {max: listMax, decode: decodeString},
	LayoutBytes:           {max: listMax / 2, decode: decodeBytes},
	LayoutAddress:         {max: storageSize, decode: decodeAddress},
	LayoutIPv4:            {max: 4, decode: decodeIPv4},
	LayoutIfindex:         {max: 4, decode: decodeIfindex},
	LayoutErrno:           {max: 4, decode: decodeErrno},
	LayoutSocketType:      {max: 4, decode: decodeSocketType},
	LayoutFamily:          {max: 4, decode: decodeFamily},
	LayoutProtocol:        {max: 4, decode: decodeProtocol},
	LayoutTimeval:         {max: 16, decode: decodeTimeval},
	LayoutTimeval64:       {max: 16, decode: decodeTimeval64},
	LayoutFilter:          {max: 8, decode: decodeFilter}, // one instruction: instructions are not formatted
	LayoutGroups:          {max: listMax, decode: decodeGroups},
	LayoutMembership:      {max: listMax, decode: decodeMembership},
	LayoutICMPFilter:      {max: 4, decode: decodeICMPFilter},
	LayoutICMPv6Filter:    {max: 32, decode: decodeICMPv6Filter},
	LayoutPortRange:       {max: 4, decode: decodePortRange},
	LayoutTimestamping:    {max: 8, decode: decodeTimestamping},
	LayoutTxRehash:        {max: 4, decode: decodeTxRehash},
	LayoutBufLock:         {max: 4, decode: flagDecoder(bufLockFlags)},
	LayoutPMTUDiscovery:   {max: 4, decode: enumDecoder(pmtuDiscovery)},
	LayoutPMTUDiscovery6:  {max: 4, decode: enumDecoder(pmtuDiscovery6)},
	LayoutAddrPreferences: {max: 4, decode: flagDecoder(addrPreferences)},
	LayoutRepairQueue:     {max: 4, decode: enumDecoder(repairQueues)},
	LayoutUDPEncap:        {max: 4, decode: enumDecoder(udpEncaps)},
	LayoutTpacketVersion:  {max: 4, decode: enumDecoder(tpacketVersions)},
	LayoutFanout:          {max: 4, decode: decodeFanout},
	LayoutTIPCImportance:  {max: 4, decode: enumDecoder(tipcImportances)},
	LayoutRDSTransport:    {max: 4, decode: enumDecoder(rdsTransports)},
	LayoutL2CAPMode:       {max: 4, decode: flagDecoder(l2capModes)},
	LayoutRFCOMMMode:      {max: 4, decode: flagDecoder(rfcommModes)},
	LayoutPHY:             {max: 4, decode: flagDecoder(phys)},
	LayoutChannelMode:     {max: 1, decode: enumDecoder(channelModes)},
	LayoutXDPOptions:      {max: 4, decode: flagDecoder(xdpOptions)},
	LayoutCongestionInfo:  {max: 20, decode: decodeCongestionInfo},
	LayoutMSFilter:        {max: listMax, decode: decodeMSFilter},
	LayoutGroupFilter:     {max: listMax, decode: decodeGroupFilter},
	LayoutCANFilter:       {max: listMax / 2, decode: decodeCANFilter},
	LayoutCCIDs:           {max: 255, decode: decodeCCIDs},
	LayoutServiceCodes:    {max: 132, decode: decodeServiceCodes},
	LayoutMPTCPTCPInfo:    {max: 16 + 512, decode: decodeMPTCPTCPInfo},
	LayoutMPTCPAddrs:      {max: listMax, decode: decodeMPTCPAddrs},
	LayoutSCTPAddrs:       {max: listMax, decode: decodeSCTPAddrs},
	LayoutSCTPIDs:         {max: listMax / 2, decode: decodeSCTPIDs},
	LayoutSCTPHMACs:       {max: 64, decode: decodeSCTPHMACs},
	LayoutSCTPChunks:      {max: 264, decode: decodeSCTPChunks},
	LayoutSCTPValue:       {max: 8, decode: decodeSCTPValue},
	LayoutControl:         {max: listMax / 2, decode: decodeControl},
	LayoutIPVSDaemons:     {max: 48, decode: decodeIPVSDaemons},

	LayoutLinger:             {fields: linger},
	LayoutUcred:              {fields: ucred},
	LayoutMemInfo:            {fields: memInfo},
	LayoutTxTime:             {fields: txTime},
	LayoutXTInfo:             {fields: xtInfo},
	LayoutARPTInfo:           {fields: arptInfo},
	LayoutEBTInfo:            {fields: ebtInfo},
	LayoutXTEntries:          {fields: xtEntries},
	LayoutXTRevision:         {fields: xtRevision},
	LayoutIPVSInfo:           {fields: ipvsInfo},
	LayoutIPVSTimeout:        {fields: ipvsTimeout},
	LayoutPathMTU:            {fields: pathMTU},
	LayoutFlowLabel:          {fields: flowLabel},
	LayoutTCPInfo:            {fields: tcpInfo},
	LayoutTCPRepairWindow:    {fields: tcpRepairWindow},
	LayoutTCPZeroCopy:        {fields: tcpZeroCopy},
	LayoutTCPAOInfo:          {fields: tcpAOInfo},
	LayoutMPTCPInfo:          {fields: mptcpInfo},
	LayoutMPTCPFullInfo:      {fields: mptcpFullInfo},
	LayoutPacketStatistics:   {fields: packetStatistics},
	LayoutRolloverStatistics: {fields: rolloverStatistics},
	LayoutXDPOffsets:         {fields: xdpOffsets},
	LayoutXDPStatistics:      {fields: xdpStatistics},
	LayoutVCID:               {fields: canVCID},
	LayoutISOTPOptions:       {fields: isotpOptions},
	LayoutISOTPFlowControl:   {fields: isotpFlowControl},
	LayoutISOTPLinkLayer:     {fields: isotpLinkLayer},
	LayoutTIPCGroup:          {fields: tipcGroup},
	LayoutBTSecurity:         {fields: btSecurity},
	LayoutHCIFilter:          {fields: hciFilter},
	LayoutL2CAPOptions:       {fields: l2capOptions},
	LayoutConnInfo:           {fields: connInfo},
	LayoutSCTPRTOInfo:        {fields: sctpRTOInfo},
	LayoutSCTPAssocParams:    {fields: sctpAssocParams},
	LayoutSCTPInitMsg:        {fields: sctpInitMsg},
	LayoutSCTPPrimary:        {fields: sctpPrimary},
	LayoutSCTPAdaptation:     {fields: sctpAdaptation},
	LayoutSCTPPeerParams:     {fields: sctpPeerParams},
	LayoutSCTPSendParams:     {fields: sctpSendParams},
	LayoutSCTPEvents:         {fields: sctpEvents},
	LayoutSCTPStatus:         {fields: sctpStatus},
	LayoutSCTPPeerInfo:       {fields: sctpPeerInfo},
	LayoutSCTPSack:           {fields: sctpSack},
	LayoutSCTPKeyID:          {fields: sctpKeyID},
	LayoutSCTPThresholds:     {fields: sctpThresholds},
	LayoutSCTPThresholds2:    {fields: sctpThresholds2},
	LayoutSCTPSendInfo:       {fields: sctpSendInfo},
	LayoutSCTPAssocStats:     {fields: sctpAssocStats},
	LayoutSCTPPRInfo:         {fields: sctpPRInfo},
	LayoutSCTPPRStatus:       {fields: sctpPRStatus},
	LayoutSCTPStreamValue:    {fields: sctpStreamValue},
	LayoutSCTPEvent:          {fields: sctpEvent},
	LayoutSCTPEncaps:         {fields: sctpEncaps},
	LayoutSCTPProbe:          {fields: sctpProbe},
	LayoutSCTPPeelOff:        {fields: sctpPeelOff},
	LayoutIPSet:              {fields: ipSet},
	LayoutIPVSServices:       {fields: ipvsServices},
	LayoutIPVSService:        {fields: ipvsService},
	LayoutIPVSDests:          {fields: ipvsDests},
	LayoutATMQoS:             {fields: atmQoS},
	LayoutATMPVC:             {fields: atmPVC},
	LayoutTFRCReceiver:       {fields: tfrcReceiver},
	LayoutTFRCSender:         {fields: tfrcSender},
}

// maxCopy returns how many bytes of a value of this layout are worth copying, 0 for
// none.
func (l Layout) maxCopy() uint16 {
	if int(l) >= len(layouts) {
		return 0
	}
	if f := layouts[l].fields; f != nil {
		return uint16(f.size)
	}
	return layouts[l].max
}
