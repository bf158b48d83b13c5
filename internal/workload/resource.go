// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// Attribute is one attribute of a [Resource]: a string, an integer when IsInt is set, or
// Other unless that is nil.
type Attribute struct {
	Key   string
	Str   string
	Int   int64
	IsInt bool
	// Other is a bool, a float64, a []byte, a []any or a map[string]any, the last two of
	// nil, these, strings and int64.
	Other any
}

// NewAttribute returns an attribute whose value is a string, an int64, or one of Other.
func NewAttribute(key string, value any) Attribute {
	switch v := value.(type) {
	case string:
		return Attribute{Key: key, Str: v}
	case int64:
		return Attribute{Key: key, Int: v, IsInt: true}
	}
	return Attribute{Key: key, Other: value}
}

// Resource describes who made calls. It must not be changed, and may be read by several
// goroutines.
type Resource struct {
	Attributes []Attribute // sorted by key, each key once
}

// ID returns a string that is equal for equal resources and differs for others.
func (r *Resource) ID() string {
	var b []byte
	for i := range r.Attributes {
		a := &r.Attributes[i]
		// Lengths precede texts, because a text may contain any separator.
		b = strconv.AppendInt(b, int64(len(a.Key)), 10)
		b = append(b, ':')
		b = append(b, a.Key...)
		if a.Other != nil {
			b = fmt.Appendf(b, "~%#v;", a.Other)
			continue
		}
		if a.IsInt {
			b = append(b, '#')
			b = strconv.AppendInt(b, a.Int, 10)
			b = append(b, ';')
			continue
		}
		b = append(b, '=')
		b = strconv.AppendInt(b, int64(len(a.Str)), 10)
		b = append(b, ':')
		b = append(b, a.Str...)
	}
	return string(b)
}

// newResource returns a resource of attributes in any order. Of two with the same key the
// later one counts.
func newResource(attributes []Attribute) *Resource {
	slices.SortStableFunc(attributes, func(a, b Attribute) int { return cmp.Compare(a.Key, b.Key) })
	kept := attributes[:0]
	for i, a := range attributes {
		if i+1 < len(attributes) && attributes[i+1].Key == a.Key {
			continue
		}
		kept = append(kept, a)
	}
	return &Resource{Attributes: kept}
}
