// SPDX-License-Identifier: Apache-2.0

package sdnotifyextension

import (
	"fmt"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
)

type notifier struct {
	component.StartFunc
	component.ShutdownFunc
}

var _ extensioncapabilities.PipelineWatcher = (*notifier)(nil)

// Ready reports that all components have started. The Collector calls it again after
// each reload. Without systemd it does nothing.
func (*notifier) Ready() error {
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		return fmt.Errorf("report to systemd that the Collector is ready, at NOTIFY_SOCKET: %w", err)
	}
	return nil
}

// NotReady has nothing to report: systemd itself asked the Collector to stop or to reload.
func (*notifier) NotReady() error { return nil }
