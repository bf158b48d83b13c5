// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/getsockopt/getsockoptreceiver/internal/pdatautil"
	"github.com/getsockopt/getsockoptreceiver/internal/semconv"
	"github.com/getsockopt/getsockoptreceiver/internal/semconv/registry"
)

// Groups of model/ that are no metrics.
const (
	SpanGroup     = "span.getsockopt.internal"
	ResourceGroup = "attributes.getsockopt.resource"
)

// Root is the folder of the module.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "../../..")
}

// Load reads model/.
func Load() (*registry.Registry, error) {
	return registry.Load(os.DirFS(filepath.Join(Root(), "model")))
}

// CheckTraces returns what about the receiver's spans is not in the registry.
// Spans of other scopes are left alone.
func CheckTraces(r *registry.Registry, batch ptrace.Traces) error {
	c := check{registry: r}
	group := r.Group(SpanGroup)
	for _, rs := range batch.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			if ss.Scope().Name() != pdatautil.ScopeName {
				continue
			}
			c.resource(rs.Resource().Attributes())
			for _, s := range ss.Spans().All() {
				where := "span " + s.Name()
				if kind := strings.ToLower(s.Kind().String()); kind != group.SpanKind {
					c.complain("%s is of the kind %s, want %s", where, kind, group.SpanKind)
				}
				if name := spanName(s.Attributes()); s.Name() != name {
					c.complain("%s, want %s", where, name)
				}
				c.attributes(where, s.Attributes(), group)
			}
		}
	}
	return c.err()
}

// spanName is the name that the registry gives to a span with these attributes.
func spanName(attributes pcommon.Map) string {
	option, _ := attributes.Get(semconv.SocketOptionName)
	if name := option.Str(); name != "_OTHER" {
		return "getsockopt " + name
	}
	return "getsockopt"
}

// CheckMetrics is CheckTraces for metrics.
func CheckMetrics(r *registry.Registry, batch pmetric.Metrics) error {
	c := check{registry: r}
	known := r.Metrics()
	for _, rm := range batch.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			if sm.Scope().Name() != pdatautil.ScopeName {
				continue
			}
			c.resource(rm.Resource().Attributes())
			for _, m := range sm.Metrics().All() {
				group := known[m.Name()]
				if group == nil {
					c.complain("metric %s is not in the registry", m.Name())
					continue
				}
				c.metric(m, group)
			}
		}
	}
	return c.err()
}

type check struct {
	registry *registry.Registry
	faults   map[string]bool
}

func (c *check) complain(format string, args ...any) {
	if c.faults == nil {
		c.faults = map[string]bool{}
	}
	c.faults[fmt.Sprintf(format, args...)] = true
}

// err joins what was found, each thing once.
func (c *check) err() error {
	var all []error
	for _, fault := range slices.Sorted(maps.Keys(c.faults)) {
		all = append(all, errors.New(fault))
	}
	return errors.Join(all...)
}

func (c *check) metric(m pmetric.Metric, group *registry.Group) {
	where := "metric " + m.Name()
	if m.Unit() != group.Unit || m.Description() != group.Brief {
		c.complain("%s has the unit %q and the description %q, want %q and %q", where, m.Unit(), m.Description(), group.Unit, group.Brief)
	}
	instrument := ""
	switch m.Type() {
	case pmetric.MetricTypeSum:
		instrument = "updowncounter"
		if m.Sum().IsMonotonic() {
			instrument = "counter"
		}
		for _, p := range m.Sum().DataPoints().All() {
			c.point(where, p.Attributes(), group)
		}
	case pmetric.MetricTypeExponentialHistogram:
		instrument = "histogram"
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			c.point(where, p.Attributes(), group)
		}
	}
	if instrument != group.Instrument {
		c.complain("%s is a %s, want a %s", where, m.Type(), group.Instrument)
	}
}

// point checks the attributes of a point. The one past the limit of series has
// no attribute but that.
func (c *check) point(where string, attributes pcommon.Map, group *registry.Group) {
	if overflow, found := attributes.Get(semconv.OTelMetricOverflow); found {
		if !overflow.Bool() || attributes.Len() != 1 {
			c.complain("%s has an overflow point with %v", where, attributes.AsRaw())
		}
		return
	}
	c.attributes(where, attributes, group)
}

func (c *check) attributes(where string, attributes pcommon.Map, group *registry.Group) {
	for key, value := range attributes.All() {
		if a := group.Attribute(key); a != nil {
			c.value(where, value, a)
		} else {
			c.complain("%s has %s, which %s has not", where, key, group.ID)
		}
	}
	for _, a := range group.Attributes {
		if _, found := attributes.Get(a.ID); !found && a.Requirement.Level == "required" {
			c.complain("%s has no %s, which %s requires", where, a.ID, group.ID)
		}
	}
}

// resource allows a process its own attributes, under roots that the receiver
// does not set.
func (c *check) resource(attributes pcommon.Map) {
	group := c.registry.Group(ResourceGroup)
	for key, value := range attributes.All() {
		if a := group.Attribute(key); a != nil {
			c.value("resource", value, a)
			continue
		}
		root, _, _ := strings.Cut(key, ".")
		if root == "service" {
			continue
		}
		for id := range c.registry.Attributes {
			if strings.HasPrefix(id, root+".") {
				c.complain("resource has %s, which %s has not", key, group.ID)
			}
		}
	}
}

var types = map[string]pcommon.ValueType{
	"string": pcommon.ValueTypeStr, "int": pcommon.ValueTypeInt, "boolean": pcommon.ValueTypeBool,
}

func (c *check) value(where string, value pcommon.Value, a *registry.Attribute) {
	if value.Type() != types[a.Type.Name] {
		c.complain("%s has %s as a %s, want a %s", where, a.ID, value.Type(), a.Type.Name)
		return
	}
	// OpenTelemetry's enumeration of errors has a fallback alone; any other
	// error stands for itself.
	if len(a.Type.Members) == 0 || a.ID == semconv.ErrorType {
		return
	}
	if !slices.ContainsFunc(a.Type.Members, func(m registry.Member) bool { return m.Value == value.Str() }) {
		c.complain("%s has %s=%s, which is not in its enumeration", where, a.ID, value.Str())
	}
}
