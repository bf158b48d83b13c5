// SPDX-License-Identifier: Apache-2.0

package traces

import (
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/getsockopt/getsockoptreceiver/internal/record"
)

func TestParents(t *testing.T) {
	traceID, spanID := pcommon.TraceID{1, 15: 2}, pcommon.SpanID{3, 7: 4}
	for name, test := range map[string]struct {
		source  record.ParentSource
		flags   uint8
		sampled bool // the option
		isChild bool
		want    uint32 // flags
	}{
		"none":                          {record.SourceNone, 0, false, false, 0x003},
		"thread context":                {record.SourceThreadContext, 0x01, false, true, 0x101},
		"thread context, random":        {record.SourceThreadContext, 0x03, false, true, 0x103},
		"thread context, unknown flags": {record.SourceThreadContext, 0xfd, false, true, 0x101},
		"not sampled":                   {record.SourceThreadContext, 0x02, false, true, 0x103},
		"sampled only, sampled":         {record.SourceThreadContext, 0x01, true, true, 0x101},
		"sampled only, not sampled":     {record.SourceThreadContext, 0x02, true, false, 0x003},
		"sampled only, labels":          {record.SourceGoLabels, 0, true, true, 0x101},
		"sampled only, OBI":             {record.SourceOBI, 0, true, true, 0x101},
	} {
		t.Run(name, func(t *testing.T) {
			c := call()
			c.Parent = record.Parent{TraceID: traceID, SpanID: spanID, Flags: test.flags, Source: test.source}
			b := New(Options{SampledParents: test.sampled})
			reference := b.Add(c, nil)
			s := b.Take().ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
			isChild := s.TraceID() == traceID && s.ParentSpanID() == spanID
			isRoot := s.TraceID() != traceID && s.ParentSpanID().IsEmpty()
			if isChild != test.isChild || isRoot == test.isChild {
				t.Errorf("trace %s, parent %s, want a child: %t", s.TraceID(), s.ParentSpanID(), test.isChild)
			}
			if s.Flags() != test.want || s.SpanID().IsEmpty() || s.SpanID() == spanID {
				t.Errorf("flags %#x, span id %s, want flags %#x", s.Flags(), s.SpanID(), test.want)
			}
			source := test.source
			if !test.isChild {
				source = record.SourceNone
			}
			if reference.TraceID != s.TraceID() || reference.SpanID != s.SpanID() || reference.Parent != source {
				t.Errorf("reference %+v, want that of the span, and source %s", reference, source)
			}
		})
	}
}

// A threshold above 0 comes with the randomness that decided, which is not in the trace id.
func TestTracestateOfAChild(t *testing.T) {
	for name, test := range map[string]struct {
		threshold, randomness uint64
		parent                record.ParentSource
		want                  string
	}{
		"child, all kept":  {0, 0x123456789abcde, record.SourceGoLabels, "ot=th:0"},
		"child, half kept": {1 << 55, 0x8000000000000a, record.SourceGoLabels, "ot=th:8;rv:8000000000000a"},
		"leading zeros":    {1, 2, record.SourceGoLabels, "ot=th:00000000000001;rv:00000000000002"},
		"root, half kept":  {1 << 55, 0x8000000000000a, record.SourceNone, "ot=th:8"},
	} {
		t.Run(name, func(t *testing.T) {
			c := call()
			c.Threshold, c.Randomness = test.threshold, test.randomness
			c.Parent = record.Parent{TraceID: [16]byte{1}, SpanID: [8]byte{1}, Source: test.parent}
			if got := one(t, Options{}, c).TraceState().AsRaw(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
