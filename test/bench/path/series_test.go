// SPDX-License-Identifier: Apache-2.0

package path

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

// A record's SeriesKey is the key that key_of of bpf/series.h counted the call
// under: exemplars are joined to their series by it.
func TestSeriesKeyOfARecordIsTheKernels(t *testing.T) {
	const none, refused = 0, int64(unix.ECONNREFUSED)
	for name, test := range map[string]struct {
		level, option uint64
		result, value int64
		wantError     unix.Errno
		wantPending   bool
	}{
		"success":           {unix.SOL_SOCKET, unix.SO_TYPE, none, unix.SOCK_STREAM, 0, false},
		"value of an errno": {unix.SOL_SOCKET, unix.SO_TYPE, none, refused, 0, false},
		"failure":           {unix.SOL_SOCKET, unix.SO_TYPE, -int64(unix.ENOPROTOOPT), none, unix.ENOPROTOOPT, false},
		"no pending error":  {unix.SOL_SOCKET, unix.SO_ERROR, none, none, 0, false},
		"pending error":     {unix.SOL_SOCKET, unix.SO_ERROR, none, refused, unix.ECONNREFUSED, true},
		// Tracers and filters of system calls may return any number.
		"positive result":                 {unix.SOL_SOCKET, unix.SO_TYPE, 1, none, 0, false},
		"positive result, pending error":  {unix.SOL_SOCKET, unix.SO_ERROR, 1, refused, unix.ECONNREFUSED, true},
		"number of SO_ERROR":              {unix.SOL_TCP, unix.SO_ERROR, none, refused, 0, false},
		"failure with an errno in memory": {unix.SOL_SOCKET, unix.SO_ERROR, -int64(unix.EFAULT), refused, unix.EFAULT, false},
	} {
		t.Run(name, func(t *testing.T) {
			for architecture, object := range objects {
				m := machine(t, object, kind{option: test.option, spans: true, threshold: keepsAll})
				giveName(m, int32(test.level), int32(test.option))
				value := m.Allocate(binary.NativeEndian.AppendUint32(nil, uint32(test.value)))
				length := m.Allocate(binary.NativeEndian.AppendUint32(nil, 4))
				if _, err := m.Run(bpf.GetsockoptProgTracepointEnter, 0, 0, 3, test.level, test.option, value, length); err != nil {
					t.Fatal(err)
				}
				exit, err := m.Run(bpf.GetsockoptProgTracepointExit, 0, 0, uint64(test.result))
				if err != nil {
					t.Fatal(err)
				}
				call := submitted(t, exit)
				counted := countedKey(t, m)
				if got := call.SeriesKey(0); got != counted {
					t.Errorf("%s: the record's key is %+v, want the series' %+v", architecture, got, counted)
				}
				if counted.Error != uint16(test.wantError) || counted.Pending != test.wantPending || counted.Level != int32(test.level) || counted.Option != int32(test.option) {
					t.Errorf("%s: counted as %+v, want error %d, pending %t", architecture, counted, test.wantError, test.wantPending)
				}
			}
		})
	}
}

// submitted returns the only call record of a run.
func submitted(t *testing.T, exit Cost) (call record.Call) {
	t.Helper()
	if len(exit.Records) != 1 {
		t.Fatalf("%d records, want 1: %v", len(exit.Records), exit.Calls)
	}
	if isCall, err := record.Decode(exit.Records[0], &call, nil); err != nil || !isCall {
		t.Fatalf("the record is a call: %t, %v", isCall, err)
	}
	return call
}

// countedKey returns the key of the only series.
func countedKey(t *testing.T, m *Machine) record.SeriesKey {
	t.Helper()
	counts, err := m.Get(bpf.GetsockoptMapSeriesCounts, make([]byte, 4))
	if err != nil {
		t.Fatal(err)
	}
	var s bpf.GetsockoptSeriesCounts
	if _, err := binary.Decode(counts, binary.NativeEndian, &s); err != nil {
		t.Fatal(err)
	}
	return record.SeriesKey{
		Group: s.Key.Group, Level: s.Key.Level, Option: s.Key.Option, Error: s.Key.Error,
		Entry: record.Entry(s.Key.Entry), Pending: s.Key.Pending != 0,
	}
}
