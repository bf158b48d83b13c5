// SPDX-License-Identifier: Apache-2.0

package record

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/getsockopt/getsockoptreceiver/bpf"
)

// ProcessContext is what a program publishes about itself: a process context of OTEP 4719.
type ProcessContext struct {
	Process ProcessKey
	Payload []byte // a message ProcessContext of OpenTelemetry, or the beginning of one
	Cut     bool   // Payload is incomplete
	Owner   uint16 // for whom the record counts
	Unread  bool   // there is no payload: the kernel side could not read it
}

// PublishedNames are the names that a process context gives a service, empty if it gives none,
// as the BPF programs keep them.
type PublishedNames struct {
	Name       string // up to 255 bytes
	Namespace  string // percent-encoded, up to 127 bytes, as is InstanceID
	InstanceID string
}

// DecodeProcessContext decodes a record of the ring buffer of process contexts. The result
// aliases it. An error wraps ErrMalformed.
func DecodeProcessContext(raw []byte) (c ProcessContext, err error) {
	var layout bpf.GetsockoptProcessContext
	if len(raw) < int(unsafe.Sizeof(layout)) {
		return c, fmt.Errorf("%w: a process context of %d bytes", ErrMalformed, len(raw))
	}
	n := binary.NativeEndian
	process := raw[unsafe.Offsetof(layout.Process):]
	c.Process = ProcessKey{
		Start:  n.Uint64(process[unsafe.Offsetof(layout.Process.Start):]),
		PID:    n.Uint32(process[unsafe.Offsetof(layout.Process.Pid):]),
		ExecID: n.Uint32(process[unsafe.Offsetof(layout.Process.ExecId):]),
	}
	size := n.Uint32(raw[unsafe.Offsetof(layout.Size):])
	c.Payload = raw[unsafe.Offsetof(layout.Payload):][:min(int64(size), int64(len(layout.Payload)))]
	c.Cut = int(size) > len(c.Payload)
	c.Owner = n.Uint16(raw[unsafe.Offsetof(layout.Owner):])
	c.Unread = n.Uint16(raw[unsafe.Offsetof(layout.Unread):]) != 0
	return c, nil
}
