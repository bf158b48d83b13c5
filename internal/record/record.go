// SPDX-License-Identifier: Apache-2.0

package record

import "github.com/getsockopt/getsockoptreceiver/internal/semconv"

// ProcessKey names one process image. A pid that exec'ed, or that was reused,
// is another key.
type ProcessKey struct {
	Start  uint64 // start of the thread group, ns of CLOCK_BOOTTIME as the receiver reads it
	PID    uint32 // thread group id in the initial pid namespace
	ExecID uint32 // the kernel's count of execs, task_struct.self_exec_id
}

// Entry is the door a call came through.
type Entry uint8

// The doors, as bpf/records.h numbers them.
const (
	EntrySyscall Entry = iota
	EntrySyscallCompat
	EntrySocketcall
	EntryIOUring
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

// Flags says which optional fields of a [Call] hold something.
type Flags uint32

// The flags, as bpf/records.h numbers them.
const (
	HasLengthIn     Flags = 1 << iota // *optlen could be read at entry
	HasLengthOut                      // *optlen could be read at return
	HasValue                          // Value holds the option's bytes
	ValueReadErrors                   // a value was due and its memory could not be read
	HasSocket                         // Socket holds
	Compat                            // the caller is a 32-bit program
	PendingError                      // SO_ERROR handed out the error in Call.Error
	NoDescriptor                      // io_uring registered file: FD is no descriptor
)

// Call is one getsockopt call. Its byte slices alias the decoded record and
// hold only until that buffer is read into again.
type Call struct {
	Process    ProcessKey
	Flags      Flags
	Entry      Entry
	Start      uint64 // entry, ns of CLOCK_MONOTONIC as the receiver reads it
	Duration   uint64 // ns
	Randomness uint64 // 56 bits, the low seven bytes of the trace id
	Threshold  uint64 // 56 bits: kept because Randomness >= Threshold
	ThreadID   uint32 // in the initial pid namespace
	CPU        uint32 // where the call returned
	FD         int32
	Level      int32
	Option     int32
	Return     int32 // what the kernel returned: 0, -errno, or a length for io_uring
	LengthIn   uint32
	LengthOut  uint32
	Error      int32 // pending error behind SO_ERROR, when PendingError is set
	Group      uint32
	Comm       []byte // without the NULs that end it
	Socket     Socket
	Value      []byte
}

// Has reports whether all the given flags are set.
func (c *Call) Has(f Flags) bool { return c.Flags&f == f }

// Socket is what the kernel knew of the descriptor's socket when the call
// returned. It holds only when the call has HasSocket.
type Socket struct {
	Family   uint16 // AF_*
	Type     uint16 // SOCK_*
	Protocol uint16 // IPPROTO_*, or the family's own
	State    uint8  // TCP_* of include/net/tcp_states.h
	NetNS    uint32 // inode of the network namespace
	Cookie   uint64 // 0 while the kernel has assigned none
	Local    Endpoint
	Peer     Endpoint
}

// Endpoint is one end of a socket. Address is empty when the socket is not
// bound or connected; it holds 4 bytes for IPv4, 16 for IPv6, 4 for a vsock
// cid in host byte order, and the raw sun_path for Unix (a leading NUL marks
// an abstract name).
type Endpoint struct {
	Address []byte
	Port    uint32
}

// Process is who made calls: sent once for each process image, before its
// first call.
type Process struct {
	Key             ProcessKey
	Group           uint32
	ParentPID       uint32 // in the initial pid namespace
	NamespacePID    uint32 // in the process's own pid namespace
	UID             uint32 // effective, initial user namespace
	RealUID         uint32
	PIDNamespace    uint32 // inodes
	MountNamespace  uint32
	NetNamespace    uint32
	Comm            string   // of the main thread, any bytes but NUL
	ExecutableName  string   // any bytes but NUL; empty for a kernel thread
	ExecutablePath  string   // absolute, any bytes but NUL; empty where it could not be had
	ContainerID     string   // empty outside of containers
	CgroupHierarchy uint32   // of CgroupPath: 0 is v2; NoHierarchy at the root of all
	CgroupPath      string   // absolute within the hierarchy; empty where it could not be had
	Environment     []string // the two OTEL_* variables, KEY=value, any bytes but NUL
	EnvironmentLost bool     // part of the environment is yet to be read
	AttributesCut   bool     // OTEL_RESOURCE_ATTRIBUTES in Environment is not whole
}

// NoHierarchy is the cgroup hierarchy of a process that is at the root of all
// of them, NO_HIERARCHY of bpf/records.h.
const NoHierarchy = 1<<32 - 1

// GroupOrigin says where the name of a [Group] came from, and so how to read it.
type GroupOrigin uint32

// The origins, as bpf/records.h numbers them; a group may have several.
const (
	FromExecutable  GroupOrigin = 1 << iota // Name is an executable's file name
	FromServiceName                         // Name is OTEL_SERVICE_NAME, used as it is
	FromAttributes                          // Name (without FromServiceName) and Namespace are raw values of OTEL_RESOURCE_ATTRIBUTES
	Unread                                  // part of the environment of Process was not read in the kernel
	OfContainer                             // Name is a container's id, empty for none: grouping by container
	OfProcess                               // Process holds: grouping by process
	OfHost                                  // everything: grouping by host
)

// Group is what calls are counted under: a service, a container, a process
// or the host, whichever the receiver was told.
type Group struct {
	ID        uint32
	Origin    GroupOrigin
	Name      string     // raw, see Origin
	Namespace string     // raw
	Process   ProcessKey // with OfProcess or Unread
}

// GroupOverflow is the id of the group of processes that came when the table
// of groups was full.
const GroupOverflow = 0

// SeriesKey tells series apart.
type SeriesKey struct {
	Group   uint32
	Level   int32
	Option  int32
	Error   uint16 // errno of a failed call; the pending error when Pending is set; 0
	Entry   Entry
	Pending bool // the call worked, and SO_ERROR handed out Error
}

// SeriesKey returns the series that the kernel counted the call in, unless the
// table was full.
func (c *Call) SeriesKey() SeriesKey {
	k := SeriesKey{Group: c.Group, Level: c.Level, Option: c.Option, Entry: c.Entry}
	switch {
	case c.Return < 0:
		k.Error = uint16(-c.Return)
	case c.Has(PendingError):
		k.Error, k.Pending = uint16(c.Error), true
	}
	return k
}

// Series is the calls of one group, option, outcome and entry since the probe
// started. Of its key only Pending means something when Overflow is set: it
// tells pending errors from other calls.
type Series struct {
	SeriesKey
	Overflow bool     // folds the calls that found the table of series full
	Sum      uint64   // ns
	Buckets  []uint64 // as internal/histogram numbers them
}

// Count is how many calls the series holds: the sum of its buckets, so that
// the two can never disagree.
func (s *Series) Count() uint64 {
	var n uint64
	for _, c := range s.Buckets {
		n += c
	}
	return n
}
