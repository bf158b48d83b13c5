// SPDX-License-Identifier: Apache-2.0

package processcontext

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/getsockopt/getsockoptreceiver/internal/workload"
)

func str(key, value string) workload.Attribute { return workload.NewAttribute(key, value) }

func bytesField(number protowire.Number, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), b)
}

func varint(number protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), v)
}

func attribute(key string, value []byte) []byte {
	return bytesField(resourceAttributes, append(bytesField(keyValueKey, []byte(key)), bytesField(keyValueValue, value)...))
}

func text(key, value string) []byte { return attribute(key, bytesField(valueString, []byte(value))) }

func payload(attributes ...[]byte) []byte {
	var all []byte
	for _, a := range attributes {
		all = append(all, a...)
	}
	return bytesField(contextResource, all)
}

func TestDecode(t *testing.T) {
	array := bytesField(valueArray, append(bytesField(values, bytesField(valueString, []byte("a"))), bytesField(values, varint(valueInt, 7))...))
	keyValues := bytesField(valueMap, bytesField(values, append(bytesField(keyValueKey, []byte("k")), bytesField(keyValueValue, varint(valueBool, 1))...)))
	double := protowire.AppendFixed64(protowire.AppendTag(nil, valueDouble, protowire.Fixed64Type), 0x3ff8000000000000)
	for name, test := range map[string]struct {
		payload []byte
		want    []workload.Attribute
	}{
		"empty":    {nil, nil},
		"resource": {payload(), nil},
		"names":    {payload(text("service.name", "shop"), text("service.namespace", "a%b")), []workload.Attribute{str("service.name", "shop"), str("service.namespace", "a%b")}},
		"types": {
			payload(attribute("int", varint(valueInt, ^uint64(0))), attribute("bool", varint(valueBool, 1)), attribute("double", double), attribute("array", array), attribute("map", keyValues), attribute("bytes", bytesField(valueBytes, []byte{1}))),
			[]workload.Attribute{
				{Key: "int", Int: -1, IsInt: true},
				{Key: "bool", Other: true},
				{Key: "double", Other: 1.5},
				{Key: "array", Other: []any{"a", int64(7)}},
				{Key: "map", Other: map[string]any{"k": true}},
				{Key: "bytes", Other: []byte{1}},
			},
		},
		"without a value": {payload(bytesField(resourceAttributes, bytesField(keyValueKey, []byte("k"))), attribute("e", nil)), nil},
		"without a key":   {payload(text("", "v")), nil},
		"excluded": {
			payload(text("process.pid", "1"), text("container.id", "x"), text("host.name", "h"), text("telemetry.sdk.name", "s"), text("k8s.pod.uid", "p"), text("systemd.unit.name", "u"), text("otel.scope.name", "o"), text("socket.fd", "1"), text("k8s.pod.name", "kept")),
			[]workload.Attribute{str("k8s.pod.name", "kept")},
		},
		"others of the context": {append(bytesField(2, []byte{0xff}), append(varint(9, 1), payload(text("k", "v"))...)...), []workload.Attribute{str("k", "v")}},
		"not UTF-8":             {payload(text("k\xff", "v\xfe")), []workload.Attribute{str(`k\xff`, `v\xfe`)}},
		"equal keys":            {payload(text("k", "1"), text("k", "2")), []workload.Attribute{str("k", "1"), str("k", "2")}},
	} {
		t.Run(name, func(t *testing.T) {
			got, complete, err := Decode(test.payload, false)
			if err != nil || !complete || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, complete %t, error %v, want %+v", got, complete, err, test.want)
			}
		})
	}
}

func TestDecodeMalformed(t *testing.T) {
	deep := varint(valueInt, 1)
	for range depthMax + 2 {
		deep = bytesField(valueArray, bytesField(values, deep))
	}
	for name, b := range map[string][]byte{
		"text":             []byte("service.name=shop"),
		"shorter than it":  payload(text("k", "v"))[:8],
		"of another group": {0x0b},
		"deep":             payload(attribute("k", deep)),
	} {
		t.Run(name, func(t *testing.T) {
			if got, _, err := Decode(b, false); !errors.Is(err, ErrMalformed) {
				t.Errorf("got %+v, error %v, want ErrMalformed", got, err)
			}
		})
	}
}

// Of a payload that is cut anywhere the complete attributes remain, never a part of one.
func TestDecodeCut(t *testing.T) {
	whole := payload(text("service.name", "shop"), attribute("n", varint(valueInt, 300)), text("last", strings.Repeat("x", 200)))
	want, _, err := Decode(whole, false)
	if err != nil {
		t.Fatal(err)
	}
	for length := 1; length < len(whole); length++ {
		got, complete, err := Decode(whole[:length], true)
		if err != nil || complete {
			t.Fatalf("cut at %d: complete %t, error %v", length, complete, err)
		}
		if len(got) > len(want) || len(got) > 0 && !reflect.DeepEqual(got, want[:len(got)]) {
			t.Errorf("cut at %d: got %+v", length, got)
		}
	}
	if got, _, _ := Decode(whole[:len(whole)-1], true); len(got) != 2 {
		t.Errorf("got %+v, want two attributes", got)
	}
}

func TestDecodeMany(t *testing.T) {
	var all [][]byte
	for i := range 500 {
		all = append(all, text(fmt.Sprintf("process.%d", i), ""), text(fmt.Sprintf("k%d", i), "v"))
	}
	got, complete, err := Decode(payload(all...), false)
	if err != nil || complete || len(got) != attributesMax {
		t.Errorf("%d attributes, complete %t, error %v, want %d", len(got), complete, err, attributesMax)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(payload(text("service.name", "shop"), attribute("n", varint(valueInt, 300))), false)
	f.Add(payload(attribute("a", bytesField(valueArray, bytesField(values, varint(valueInt, 1)))))[:9], true)
	f.Fuzz(func(t *testing.T, b []byte, cut bool) {
		attributes, _, err := Decode(b, cut)
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("error %v", err)
		}
		if len(attributes) > attributesMax {
			t.Errorf("%d attributes", len(attributes))
		}
		for _, a := range attributes {
			if !workload.MaySet(a.Key) || !utf8.ValidString(a.Key) || !utf8.ValidString(a.Str) {
				t.Errorf("attribute %+v", a)
			}
		}
	})
}
