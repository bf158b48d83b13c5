// SPDX-License-Identifier: Apache-2.0

package getsockoptreceiver

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/getsockopt/getsockoptreceiver/internal/selection"
	"github.com/getsockopt/getsockoptreceiver/internal/semconv"
)

// The type Config is generated from metadata.yaml. Its Validate calls the functions below.
// The Collector prefixes the path of a nested key to an error, so each error names the last
// part of the key. A configuration can be validated on every platform, so this file does
// not depend on the probe.

// maxValueLength is the most bytes of a value that the probe copies.
const maxValueLength = 4096

// maxSeries bounds cardinality_limit: with their groups, series then use 315 MiB.
const maxSeries = 100_000

func validateCollectionInterval(interval time.Duration) error {
	if interval <= 0 {
		return fmt.Errorf("collection_interval must be above zero, got %v", interval)
	}
	return nil
}

func validateMetricExpiration(expiration time.Duration) error {
	if expiration < 0 {
		return fmt.Errorf("metric_expiration must be 0s (never) or longer, got %v", expiration)
	}
	return nil
}

func validateHook(hook string) error {
	return oneOf("hook", hook, "auto", "fentry", "kprobe", "tracepoint", "raw_tracepoint")
}

// groupByHost is another way to write an empty group_by.
const groupByHost = "host"

func validateGroupBy(groupBy []string) error {
	if len(groupBy) > 1 && slices.Contains(groupBy, groupByHost) {
		return fmt.Errorf("group_by: %s counts all calls together, so it must be alone, got %q", groupByHost, groupBy)
	}
	return eachOnce("group_by", groupBy, "service", "container", "systemd_unit", "process", groupByHost)
}

func validateServiceNameFallback(fallback []string) error {
	return eachOnce("service_name_fallback", fallback, "systemd_unit", "executable")
}

// validateErrorAttributes checks metrics::socket.errors::attributes.
func validateErrorAttributes(attributes []string) error {
	return eachOnce("attributes", attributes, semconv.ErrorType, semconv.NetworkPeerAddress, semconv.NetworkPeerPort)
}

func validateCardinalityLimit(limit int) error {
	if limit < 1 || limit > maxSeries {
		return fmt.Errorf("cardinality_limit must be from 1 to %d series, got %d", maxSeries, limit)
	}
	return nil
}

func validateSamplingRatio(ratio float64) error {
	if !(ratio >= 0 && ratio <= 1) { // NaN is neither
		return fmt.Errorf("sampling_ratio must be from 0 to 1, got %v", ratio)
	}
	return nil
}

// The values of spans::parent.
const (
	parentAny     = "any"
	parentSampled = "sampled"
	parentNone    = "none"
)

func validateParent(parent string) error {
	return oneOf("parent", parent, parentAny, parentSampled, parentNone)
}

func validateMaxPerSecond(rate float64) error {
	if !(rate >= 0) || math.IsInf(rate, 1) {
		return fmt.Errorf("max_per_second must be 0 (no limit) or more spans a second, got %v", rate)
	}
	return nil
}

func validateSlowerThan(d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("slower_than must be 0s (off) or longer, got %v", d)
	}
	return nil
}

func validateMaxLength(length int) error {
	if length < 1 || length > maxValueLength {
		return fmt.Errorf("max_length must be from 1 to %d bytes, got %d", maxValueLength, length)
	}
	return nil
}

func validateExpand(options []string) error {
	for _, option := range options {
		if err := oneOf("expand", option, "TCP_INFO"); err != nil {
			return err
		}
	}
	return nil
}

// validateCombinations returns an error for keys that do not go together, and for a
// selection that cannot be compiled.
func validateCombinations(c *Config) error {
	if least := 2 * c.CollectionInterval; c.MetricExpiration > 0 && c.MetricExpiration < least {
		return fmt.Errorf("metric_expiration must be 0s (never), or at least %v: twice collection_interval; got %v", least, c.MetricExpiration)
	}
	if len(c.Values.Expand) > 0 && !c.Values.Enabled {
		return fmt.Errorf("values::expand %v needs values::enabled: true", c.Values.Expand)
	}
	_, err := c.selection()
	return err
}

// selection compiles the keys under select.
func (c *Config) selection() (*selection.Rules, error) {
	exclude := c.Select.Exclude
	return selection.Compile(
		selection.List{Options: c.Select.Options, Executables: c.Select.Executables, Containers: c.Select.Containers, SystemdUnits: c.Select.SystemdUnits, Users: c.Select.Users},
		selection.List{Options: exclude.Options, Executables: exclude.Executables, Containers: exclude.Containers, SystemdUnits: exclude.SystemdUnits, Users: exclude.Users},
	)
}

// eachOnce returns an error for a value that is not allowed, or is there twice.
func eachOnce(key string, values []string, allowed ...string) error {
	for i, value := range values {
		if err := oneOf(key, value, allowed...); err != nil {
			return err
		}
		if slices.Contains(values[:i], value) {
			return fmt.Errorf("%s must name each only once, got %q twice", key, value)
		}
	}
	return nil
}

func oneOf(key, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s must be one of %s, got %q", key, strings.Join(allowed, ", "), value)
}
