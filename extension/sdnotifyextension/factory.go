// SPDX-License-Identifier: Apache-2.0

package sdnotifyextension

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
)

// NewFactory makes the extension sdnotify, which has no settings.
func NewFactory() extension.Factory {
	return extension.NewFactory(
		component.MustNewType("sdnotify"),
		func() component.Config { return &struct{}{} },
		func(context.Context, extension.Settings, component.Config) (extension.Extension, error) {
			return &notifier{}, nil
		},
		component.StabilityLevelDevelopment,
	)
}
