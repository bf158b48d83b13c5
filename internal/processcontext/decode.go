// SPDX-License-Identifier: Apache-2.0

package processcontext

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

const (
	// attributesMax is how many attributes are used.
	attributesMax = 64
	// depthMax bounds lists of lists.
	depthMax = 4
)

// ErrMalformed is wrapped by the errors of Decode.
var ErrMalformed = errors.New("not a process context")

// The fields of opentelemetry.proto.processcontext.v1development.ProcessContext, and of
// resource.v1 and common.v1 beneath it.
const (
	contextResource    = 1
	resourceAttributes = 1
	keyValueKey        = 1
	keyValueValue      = 2
	valueString        = 1
	valueBool          = 2
	valueInt           = 3
	valueDouble        = 4
	valueArray         = 5
	valueMap           = 6
	valueBytes         = 7
	values             = 1 // of ArrayValue and of KeyValueList
)

// Decode returns the attributes of the resource in a payload, those that a process may set
// (workload.MaySet). cut is whether the payload is the beginning of a longer one: its complete
// attributes are used. complete is false if attributes are left out because of that, or because
// there are too many. Of two attributes with the same key both are returned, the later one last.
func Decode(payload []byte, cut bool) (attributes []workload.Attribute, complete bool, err error) {
	d := decoder{cut: cut, complete: true}
	err = d.message(payload, func(number protowire.Number, v field) error {
		if number != contextResource {
			return nil // the attributes of the context itself are for profilers
		}
		d.complete = d.complete && !v.cut
		return d.message(v.bytes, func(number protowire.Number, v field) error {
			if number != resourceAttributes {
				return nil
			}
			return d.attribute(v)
		})
	})
	if err != nil {
		return nil, false, err
	}
	return d.attributes, d.complete, nil
}

type decoder struct {
	cut        bool
	attributes []workload.Attribute
	complete   bool
}

// field is the value of a field: bytes, or a number.
type field struct {
	bytes  []byte
	number uint64
	cut    bool // bytes ends before the field does
}

// message passes the fields of a message to f.
func (d *decoder) message(b []byte, f func(protowire.Number, field) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return d.end(n)
		}
		b = b[n:]
		var v field
		switch kind {
		case protowire.VarintType:
			v.number, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			v.number, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			if v.bytes, n = protowire.ConsumeBytes(b); n < 0 && d.cut {
				v.bytes, n, v.cut = beginning(b)
			}
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return d.end(n)
		}
		if err := f(number, v); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// beginning returns what there is of a field that continues behind the end of the payload.
func beginning(b []byte) (part []byte, n int, cut bool) {
	length, n := protowire.ConsumeVarint(b)
	if n < 0 || length <= uint64(len(b)-n) {
		return nil, -1, false
	}
	return b[n:], len(b), true
}

// end is the end of a message in the middle of a field.
func (d *decoder) end(n int) error {
	if d.cut {
		d.complete = false
		return nil
	}
	return fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(n))
}

func (d *decoder) attribute(of field) error {
	if of.cut || len(d.attributes) == attributesMax {
		d.complete = false
		return nil
	}
	whole := decoder{}
	key, value, err := whole.keyValue(of.bytes, 0)
	if err != nil {
		return err
	}
	if value != nil && workload.MaySet(key) {
		d.attributes = append(d.attributes, workload.NewAttribute(key, value))
	}
	return nil
}

func (d *decoder) keyValue(b []byte, depth int) (key string, value any, err error) {
	err = d.message(b, func(number protowire.Number, v field) error {
		switch number {
		case keyValueKey:
			key = workload.Escape(string(v.bytes))
		case keyValueValue:
			value, err = d.value(v.bytes, depth)
			return err
		}
		return nil
	})
	return key, value, err
}

// value returns the value of an AnyValue, nil for one that is empty.
func (d *decoder) value(b []byte, depth int) (value any, err error) {
	if depth > depthMax {
		return nil, fmt.Errorf("%w: values within values, more than %d", ErrMalformed, depthMax)
	}
	err = d.message(b, func(number protowire.Number, v field) error {
		switch number {
		case valueString:
			value = workload.Escape(string(v.bytes))
		case valueBool:
			value = v.number != 0
		case valueInt:
			value = int64(v.number)
		case valueDouble:
			value = math.Float64frombits(v.number)
		case valueBytes:
			value = append([]byte{}, v.bytes...)
		case valueArray:
			value, err = d.list(v.bytes, depth)
		case valueMap:
			value, err = d.keyValues(v.bytes, depth)
		}
		return err
	})
	return value, err
}

func (d *decoder) list(b []byte, depth int) (list []any, err error) {
	err = d.message(b, func(number protowire.Number, v field) error {
		if number != values {
			return nil
		}
		value, err := d.value(v.bytes, depth+1)
		list = append(list, value)
		return err
	})
	return list, err
}

func (d *decoder) keyValues(b []byte, depth int) (map[string]any, error) {
	m := make(map[string]any)
	err := d.message(b, func(number protowire.Number, v field) error {
		if number != values {
			return nil
		}
		key, value, err := d.keyValue(v.bytes, depth+1)
		m[key] = value
		return err
	})
	return m, err
}
