// SPDX-License-Identifier: Apache-2.0

package record

import "github.com/getsockopt/getsockoptreceiver/internal/semconv"

// ProcessKey identifies one process image. The same pid after exec, or reused, has
// another key.
type ProcessKey struct {
	Start  uint64 // start of the thread group, ns of CLOCK_BOOTTIME as the receiver reads it
	PID    uint32 // thread group id in the initial pid namespace
	ExecID uint32 // the kernel's count of execs, task_struct.self_exec_id
}

// Entry is the entry point through which a call entered the kernel.
type Entry uint8

// The entry points, as enum call_entry of bpf/records.h numbers them.
const (
	EntrySyscall       Entry = iota // system call of a native program
	EntrySyscallCompat              // system call of a 32-bit program on a 64-bit kernel
	EntrySocketcall                 // socketcall(2) of a 32-bit program
	EntryIOUring                    // request of io_uring
)

// String returns the value of the attribute socket.entry.
func (e Entry) String() string {
	switch e {
	case EntrySyscall:
		return semconv.SocketEntrySyscall
	case EntrySyscallCompat:
		return semconv.SocketEntrySyscallCompat
	case EntrySocketcall:
		return semconv.SocketEntrySocketcall
	case EntryIOUring:
		return semconv.SocketEntryIOUring
	}
	return "unknown"
}

// Flags are properties of a [Call], and which of its optional fields are valid.
type Flags uint32

// The flags, as enum call_flags of bpf/records.h numbers them.
const (
	FlagLengthIn       Flags = 1 << iota // LengthIn is valid: *optlen could be read at entry
	FlagLengthOut                        // LengthOut is valid: *optlen could be read at return
	FlagValue                            // Value is valid
	FlagValueReadError                   // the value was to be copied, and its memory could not be read
	FlagSocket                           // Socket is valid: FD is a socket
	FlagCompat                           // the caller is a 32-bit program
	FlagPendingError                     // Error is valid: SO_ERROR returned it
	FlagNoDescriptor                     // FD is a registered file of io_uring, not a descriptor
)

// Call is one getsockopt call. Its byte slices alias the decoded record and are valid
// until the record's buffer is reused.
type Call struct {
	Process    ProcessKey
	Flags      Flags
	Entry      Entry
	Start      uint64 // entry, ns of CLOCK_MONOTONIC as the receiver reads it
	Duration   uint64 // ns
	Randomness uint64 // 56 bits, the low seven bytes of the trace id
	Threshold  uint64 // 56 bits: the call was sampled because Randomness >= Threshold
	ThreadID   uint32 // in the initial pid namespace
	CPU        uint32 // on which the call returned
	FD         int32  // as passed, which may be negative; with FlagNoDescriptor an index of registered files
	Level      int32  // as passed
	Option     int32  // as passed
	Return     int32  // the kernel's return value: 0, -errno, or a length for io_uring
	LengthIn   uint32 // *optlen at entry, in bytes; valid with FlagLengthIn
	LengthOut  uint32 // *optlen at return, in bytes; valid with FlagLengthOut
	Error      int32  // errno of the pending error, above 0; valid with FlagPendingError
	Group      uint32 // Group.ID that the call was counted under; GroupOverflow if the groups were full
	Comm       []byte // of the thread, without trailing NULs; not necessarily UTF-8
	Socket     Socket // valid with FlagSocket
	Parent     Parent // valid unless its Source is SourceNone
	Value      []byte // the copied part of the value; valid with FlagValue
}

// Has reports whether all the given flags are set.
func (c *Call) Has(f Flags) bool { return c.Flags&f == f }

// ParentSource is where the parent of a span was found.
type ParentSource uint8

// The sources, as enum parent_source of bpf/records.h numbers them.
const (
	SourceNone          ParentSource = iota // the span has no parent
	SourceThreadContext                     // the thread context of OTEP 4947
	SourceGoLabels                          // pprof labels of a Go program
	SourceOBI                               // the map of OpenTelemetry's eBPF instrumentation
	Sources                                 // the number of sources
)

// String returns the value of the attribute source of self-telemetry.
func (s ParentSource) String() string {
	return [Sources]string{"none", "thread_context", "go_labels", "obi"}[s]
}

// Parent is the span that was active in the program when it made a call, as the program
// published it. The ids are not zero.
type Parent struct {
	TraceID [16]byte
	SpanID  [8]byte
	Flags   uint8 // W3C trace flags; only SourceThreadContext has them
	Source  ParentSource
}

// Socket is the state of the descriptor's socket when the call returned.
type Socket struct {
	Family   uint16 // AF_*
	Type     uint16 // SOCK_*
	Protocol uint16 // IPPROTO_*, or a number of the family
	State    uint8  // TCP_* of include/net/tcp_states.h
	NetNS    uint32 // inode of the network namespace
	Cookie   uint64 // 0 while the kernel has assigned none
	Local    Endpoint
	Peer     Endpoint
}

// Endpoint is one end of a socket.
type Endpoint struct {
	// Address is empty if the socket is not bound or connected. It holds 4 bytes for
	// IPv4, 16 for IPv6, 4 for a vsock cid in host byte order, and sun_path for Unix,
	// where a leading NUL marks an abstract name.
	Address []byte
	Port    uint32 // in host byte order: 16 bits for IP, 32 for vsock, 0 otherwise
}

// Process describes a process image. The BPF programs send it once, before the first
// call of the image. Strings may hold any bytes but NUL.
type Process struct {
	Key             ProcessKey
	Group           uint32   // Group.ID of its calls; GroupOverflow if the groups were full
	ParentPID       uint32   // in the initial pid namespace
	NamespacePID    uint32   // in the process's own pid namespace
	UID             uint32   // effective, in the initial user namespace
	RealUID         uint32   // in the initial user namespace
	PIDNamespace    uint32   // inode
	MountNamespace  uint32   // inode
	NetNamespace    uint32   // inode
	Comm            string   // of the main thread
	ExecutableName  string   // empty for a kernel thread
	ExecutablePath  string   // absolute; empty if it could not be determined
	ContainerID     string   // empty outside of containers
	PodUID          string   // of the container, empty if it is not Kubernetes'
	SystemdUnit     string   // of a service, as systemctl shows it; empty for a login, a run or none
	UnitService     string   // the part of SystemdUnit that names a service
	CgroupHierarchy uint32   // of CgroupPath: 0 is v2; NoHierarchy at the root of all
	CgroupPath      string   // absolute within the hierarchy; empty if it could not be determined
	Environment     []string // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, KEY=value
	EnvironmentLost bool     // part of the environment could not be read by the BPF programs
	AttributesCut   bool     // OTEL_RESOURCE_ATTRIBUTES in Environment is truncated
}

// NoHierarchy is the cgroup hierarchy of a process that is at the root of every
// hierarchy, NO_HIERARCHY of bpf/records.h.
const NoHierarchy = 1<<32 - 1

// NameFallback is a way to name the service of a process that does not name it itself,
// enum name_fallback of bpf/records.h.
type NameFallback uint8

// The fallbacks.
const (
	FallbackSystemdUnit NameFallback = 1 + iota // the unit's name without suffix and instance
	FallbackExecutable                          // the file name of the executable
)

// Origin is the source of the name of a [Group], which determines how to decode it.
type Origin uint32

// The origins, as enum group_flags of bpf/records.h numbers them; a mask.
const (
	OriginExecutable             Origin = 1 << iota // Name is an executable's file name
	OriginServiceName                               // Name is OTEL_SERVICE_NAME
	OriginAttributes                                // Name, unless OriginServiceName is set, and Namespace are encoded values of OTEL_RESOURCE_ATTRIBUTES
	OriginEnvironmentUnavailable                    // the BPF programs could not read all of the environment of Process
	OriginSystemdUnit                               // Name is that of a systemd unit, without suffix and instance
	OriginProcess                                   // Process is a part of the group: grouping by process
	OriginHost                                      // the group is the host: grouping by host
	OriginService                                   // Name and Namespace are a part of the group
	OriginContainer                                 // ContainerID and InstanceID are

	// With OriginEnvironmentUnavailable: the program has published these itself.
	OriginNamePublished
	OriginNamespacePublished
	OriginInstancePublished
)

// Group is what calls are counted under: a service, a container, a systemd unit, a
// process, several of these, or the host, depending on the probe's GroupBy.
type Group struct {
	ID        uint32 // unique while the probe runs, never reused; 0 is GroupOverflow
	Origin    Origin
	Name      string     // not decoded, see Origin; one that is published is as OTEL_SERVICE_NAME
	Namespace string     // not decoded, empty if there is none
	Process   ProcessKey // valid with OriginProcess or OriginEnvironmentUnavailable
	// Where the processes run, as far as it is a part of the group; empty otherwise.
	ContainerID string
	PodUID      string // of the container
	SystemdUnit string
	InstanceID  string // service.instance.id of OTEL_RESOURCE_ATTRIBUTES, not decoded
}

// GroupOverflow is the ID of the group of processes for which no group was free.
const GroupOverflow = 0

// SeriesKey identifies a series. It is comparable.
type SeriesKey struct {
	Group   uint32 // Group.ID
	Level   int32  // as sockopt.NumberedOption.Counted returns it, like Option
	Option  int32
	Error   uint16 // errno of failed calls, or the pending error if Pending is set; 0 otherwise
	Entry   Entry
	Pending bool // the calls succeeded, and SO_ERROR returned Error
	Peer    Peer // of sockets with a pending error, as far as it distinguishes series
}

// SeriesKey returns the series in which the BPF programs counted the call, if a series
// was free, with level and option as they were passed. parts are those of the probe.
func (c *Call) SeriesKey(parts PeerParts) SeriesKey {
	k := SeriesKey{Group: c.Group, Level: c.Level, Option: c.Option, Entry: c.Entry}
	switch {
	case c.Return < 0:
		k.Error = uint16(-c.Return)
	case c.Has(FlagPendingError):
		k.Error, k.Pending, k.Peer = uint16(c.Error), true, c.peer(parts)
	}
	return k
}

// Series is the calls of one group, option, result and entry point since the previous
// snapshot.
type Series struct {
	SeriesKey
	// Overflow marks a series that takes the calls of a group for which no series was free.
	// Of its key only Group and Pending are valid: there is one series for pending errors and
	// one for all other calls.
	Overflow bool
	Sum      uint64   // of the durations, ns
	First    int      // the bucket that Buckets begin with, numbered as in internal/histogram
	Buckets  []uint64 // calls by duration
}

// Count returns the number of calls: the sum of the buckets, so that the two always
// agree.
func (s *Series) Count() uint64 {
	var n uint64
	for _, c := range s.Buckets {
		n += c
	}
	return n
}
