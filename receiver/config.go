// SPDX-License-Identifier: Apache-2.0

package getsockoptreceiver

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/getsockopt/getsockoptreceiver/internal/probe"
)

// The type Config is generated from metadata.yaml. What follows are the
// constraints that its Validate calls; the Collector puts the path to a nested
// key before the error, so each error names the last part of the key.

// maxValueLength is the most bytes that a probe copies of one option's value.
const maxValueLength = 4096

func validateCollectionInterval(interval time.Duration) error {
	if interval <= 0 {
		return fmt.Errorf("collection_interval must be above zero, got %v", interval)
	}
	return nil
}

func validateHook(hook string) error {
	return oneOf("hook", hook, probe.HookAuto, probe.HookFentry, probe.HookTracepoint, probe.HookRawTracepoint)
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

// validateCombinations refuses keys that would have no effect together.
func validateCombinations(c *Config) error {
	if len(c.Values.Expand) > 0 && !c.Values.Enabled {
		return fmt.Errorf("values::expand %v needs values::enabled: true", c.Values.Expand)
	}
	return nil
}

func oneOf(key, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s must be one of %s, got %q", key, strings.Join(allowed, ", "), value)
}
