// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"github.com/getsockopt/getsockoptreceiver/bpf"
)

// Version is the layout that this package decodes, RECORD_VERSION of bpf/records.h.
const Version = 4

// The kinds of records, enum record_kind of bpf/records.h.
const (
	kindCall    = 1
	kindProcess = 2
)

const (
	callSize     = int(unsafe.Sizeof(bpf.GetsockoptCallRecord{}))
	processSize  = int(unsafe.Sizeof(bpf.GetsockoptProcessRecord{}))
	unixPathSize = 108 // UNIX_PATH_LENGTH
	familyUnix   = 1
	addressSize  = 16
)

// ErrMalformed is wrapped by every error of [Decode]: the bytes are not a record of
// [Version].
var ErrMalformed = errors.New("malformed record")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// Decode decodes one record into call or process, and reports whether it is a call. The
// other one is not changed. The slices of call alias b; process holds copies. Every error
// wraps [ErrMalformed], and call and process are then not valid.
func Decode(b []byte, call *Call, process *Process) (isCall bool, err error) {
	if len(b) < 2 {
		return false, malformed("%d bytes are too short for any record", len(b))
	}
	if b[0] != Version {
		return false, malformed("version %d, want version %d", b[0], Version)
	}
	switch b[1] {
	case kindCall:
		return true, decodeCall(b, call)
	case kindProcess:
		return false, decodeProcess(b, process)
	}
	return false, malformed("unknown kind %d", b[1])
}

// Sender returns who holds the space of a record in the ring buffer: the number of a group,
// and the index of its owner. Both are 0 for bytes that are too short for any record.
func Sender(b []byte) (group uint32, owner uint16) {
	var h bpf.GetsockoptRecordHeader
	if len(b) < int(unsafe.Sizeof(h)) {
		return 0, 0
	}
	return u32(b, unsafe.Offsetof(h.Group)), u16(b, unsafe.Offsetof(h.Owner))
}

// The layouts are read by offset, not by casting: the bytes may have any alignment, and
// a wrong length must be an error.
func decodeCall(b []byte, c *Call) error {
	var r bpf.GetsockoptCallRecord
	if len(b) < callSize {
		return malformed("call of %d bytes, at least %d needed", len(b), callSize)
	}
	*c = Call{
		Process:    processKey(b[unsafe.Offsetof(r.Process):]),
		Flags:      Flags(u32(b, unsafe.Offsetof(r.Flags))),
		Entry:      Entry(b[unsafe.Offsetof(r.Entry)]),
		Start:      u64(b, unsafe.Offsetof(r.Start)),
		Duration:   u64(b, unsafe.Offsetof(r.Duration)),
		Randomness: u64(b, unsafe.Offsetof(r.Randomness)),
		Threshold:  u64(b, unsafe.Offsetof(r.Threshold)),
		ThreadID:   u32(b, unsafe.Offsetof(r.Tid)),
		CPU:        u32(b, unsafe.Offsetof(r.Cpu)),
		FD:         int32(u32(b, unsafe.Offsetof(r.Fd))),
		Level:      int32(u32(b, unsafe.Offsetof(r.Level))),
		Option:     int32(u32(b, unsafe.Offsetof(r.Option))),
		Return:     int32(u32(b, unsafe.Offsetof(r.Result))),
		LengthIn:   u32(b, unsafe.Offsetof(r.LengthIn)),
		LengthOut:  u32(b, unsafe.Offsetof(r.LengthOut)),
		Error:      int32(u32(b, unsafe.Offsetof(r.Error))),
		Group:      u32(b, unsafe.Offsetof(r.Header.Group)),
		Comm:       untilNUL(b[unsafe.Offsetof(r.Comm):callSize]),
	}
	if err := decodeParent(b[unsafe.Offsetof(r.Parent):], &c.Parent); err != nil {
		return err
	}
	tail := b[callSize:]
	if c.Has(FlagSocket) {
		c.Socket = Socket{
			Family:   u16(b, unsafe.Offsetof(r.Family)),
			Type:     u16(b, unsafe.Offsetof(r.Type)),
			Protocol: u16(b, unsafe.Offsetof(r.Protocol)),
			State:    b[unsafe.Offsetof(r.SocketState)],
			NetNS:    u32(b, unsafe.Offsetof(r.NetworkNamespace)),
			Cookie:   u64(b, unsafe.Offsetof(r.SocketCookie)),
		}
		local, peer := b[unsafe.Offsetof(r.Local):], b[unsafe.Offsetof(r.Peer):]
		limit, localTail, peerTail := addressSize, local, peer
		if c.Socket.Family == familyUnix {
			if len(tail) < 2*unixPathSize {
				return malformed("call on a Unix socket with %d bytes for its paths", len(tail))
			}
			limit, localTail, peerTail = unixPathSize, tail, tail[unixPathSize:]
			tail = tail[2*unixPathSize:]
		}
		var err error
		if c.Socket.Local, err = endpoint(local, localTail, limit); err != nil {
			return err
		}
		if c.Socket.Peer, err = endpoint(peer, peerTail, limit); err != nil {
			return err
		}
	}
	if c.Has(FlagValue) {
		n := int(u16(b, unsafe.Offsetof(r.ValueLength)))
		if n > len(tail) {
			return malformed("value_length %d exceeds the %d bytes present", n, len(tail))
		}
		c.Value = tail[:n]
	}
	return nil
}

func decodeParent(b []byte, to *Parent) error {
	var p bpf.GetsockoptSpanParent
	source := ParentSource(b[unsafe.Offsetof(p.Source)])
	if source >= Sources {
		return malformed("unknown source %d of a parent", source)
	}
	if source == SourceNone {
		return nil
	}
	*to = Parent{
		TraceID: [16]byte(b[unsafe.Offsetof(p.Trace):]),
		SpanID:  [8]byte(b[unsafe.Offsetof(p.Span):]),
		Flags:   b[unsafe.Offsetof(p.Flags)],
		Source:  source,
	}
	return nil
}

// endpoint reads a struct endpoint whose address bytes lie in tail.
func endpoint(b, tail []byte, limit int) (Endpoint, error) {
	port, n := u32(b, addressSize), int(u16(b, addressSize+4))
	if n > limit {
		return Endpoint{}, malformed("address of %d bytes, at most %d possible", n, limit)
	}
	return Endpoint{Address: tail[:n], Port: port}, nil
}

func decodeProcess(b []byte, p *Process) error {
	var r bpf.GetsockoptProcessRecord
	if len(b) < processSize {
		return malformed("process of %d bytes, at least %d needed", len(b), processSize)
	}
	flags := u16(b, unsafe.Offsetof(r.Flags))
	*p = Process{
		Key:             processKey(b[unsafe.Offsetof(r.Process):]),
		Group:           u32(b, unsafe.Offsetof(r.Header.Group)),
		ParentPID:       u32(b, unsafe.Offsetof(r.ParentPid)),
		NamespacePID:    u32(b, unsafe.Offsetof(r.NamespacePid)),
		UID:             u32(b, unsafe.Offsetof(r.User)),
		RealUID:         u32(b, unsafe.Offsetof(r.RealUser)),
		PIDNamespace:    u32(b, unsafe.Offsetof(r.PidNamespace)),
		MountNamespace:  u32(b, unsafe.Offsetof(r.MountNamespace)),
		NetNamespace:    u32(b, unsafe.Offsetof(r.NetworkNamespace)),
		Comm:            string(untilNUL(b[unsafe.Offsetof(r.Comm):unsafe.Offsetof(r.Container)])),
		ContainerID:     string(untilNUL(b[unsafe.Offsetof(r.Container):unsafe.Offsetof(r.Pod)])),
		PodUID:          string(untilNUL(b[unsafe.Offsetof(r.Pod):unsafe.Offsetof(r.UnitServiceLength)])),
		CgroupHierarchy: u32(b, unsafe.Offsetof(r.CgroupHierarchy)),
		EnvironmentLost: flags&environmentUnavailable != 0,
		AttributesCut:   flags&attributesCut != 0,
	}
	environment, rest, err := take(b[processSize:], u16(b, unsafe.Offsetof(r.EnvironmentLength)))
	if err != nil {
		return err
	}
	executable, rest, err := take(rest, u16(b, unsafe.Offsetof(r.ExecutableLength)))
	if err != nil {
		return err
	}
	cgroup, rest, err := take(rest, u16(b, unsafe.Offsetof(r.CgroupLength)))
	if err != nil {
		return err
	}
	unit, _, err := take(rest, u16(b, unsafe.Offsetof(r.UnitLength)))
	if err != nil {
		return err
	}
	service, _, err := take(untilNUL(unit), u16(b, unsafe.Offsetof(r.UnitServiceLength)))
	if err != nil {
		return err
	}
	p.SystemdUnit, p.UnitService = string(untilNUL(unit)), string(service)
	for _, variable := range bytes.Split(environment, []byte{0}) {
		if len(variable) > 0 {
			p.Environment = append(p.Environment, string(variable))
		}
	}
	name, components, _ := bytes.Cut(executable, []byte{0})
	p.ExecutableName = string(name)
	p.ExecutablePath = path(components)
	p.CgroupPath = path(cgroup)
	if p.CgroupHierarchy == NoHierarchy && flags&cgroupCut == 0 {
		p.CgroupPath = "/"
	}
	return nil
}

// enum process_flags of bpf/records.h.
const (
	environmentUnavailable = 1 << 0
	cgroupCut              = 1 << 4
	attributesCut          = 1 << 5
)

func take(b []byte, n uint16) (head, rest []byte, err error) {
	if int(n) > len(b) {
		return nil, nil, malformed("string of %d bytes exceeds the %d bytes present", n, len(b))
	}
	return b[:n], b[n:], nil
}

// path joins the components of a path, which are in order from the leaf to the root, each
// ended by a NUL.
func path(b []byte) string {
	components := bytes.Split(bytes.TrimSuffix(b, []byte{0}), []byte{0})
	out := make([]byte, 0, len(b))
	for i := len(components) - 1; i >= 0; i-- {
		if len(components[i]) > 0 {
			out = append(append(out, '/'), components[i]...)
		}
	}
	return string(out)
}

func processKey(b []byte) ProcessKey {
	var k bpf.GetsockoptProcessKey
	return ProcessKey{
		Start:  u64(b, unsafe.Offsetof(k.Start)),
		PID:    u32(b, unsafe.Offsetof(k.Pid)),
		ExecID: u32(b, unsafe.Offsetof(k.ExecId)),
	}
}

func untilNUL(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

func u16(b []byte, at uintptr) uint16 { return binary.NativeEndian.Uint16(b[at:]) }
func u32(b []byte, at uintptr) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
func u64(b []byte, at uintptr) uint64 { return binary.NativeEndian.Uint64(b[at:]) }
