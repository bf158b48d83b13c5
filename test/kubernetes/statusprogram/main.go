// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/healthcheckextension"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/debugexporter"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"
)

func main() {
	command := otelcol.NewCommand(otelcol.CollectorSettings{
		Factories: factories,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{ResolverSettings: confmap.ResolverSettings{
			ProviderFactories: []confmap.ProviderFactory{fileprovider.NewFactory(), envprovider.NewFactory()},
		}},
	})
	if err := command.Execute(); err != nil {
		os.Exit(1)
	}
}

func factories() (otelcol.Factories, error) {
	f := otelcol.Factories{Telemetry: otelconftelemetry.NewFactory()}
	var errs [3]error
	f.Extensions, errs[0] = otelcol.MakeFactoryMap[extension.Factory](healthcheckextension.NewFactory())
	f.Exporters, errs[1] = otelcol.MakeFactoryMap[exporter.Factory](debugexporter.NewFactory())
	f.Receivers, errs[2] = otelcol.MakeFactoryMap[receiver.Factory](receiver.NewFactory(
		component.MustNewType("status"), func() component.Config { return &struct{}{} },
		receiver.WithTraces(newReceiver, component.StabilityLevelDevelopment)))
	return f, errors.Join(errs[:]...)
}

// reporter is a receiver of nothing.
type reporter struct{}

func newReceiver(context.Context, receiver.Settings, component.Config, consumer.Traces) (receiver.Traces, error) {
	return reporter{}, nil
}

func (reporter) Start(_ context.Context, host component.Host) error {
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			reason := errors.New("as the test wants it")
			events := map[string]*componentstatus.Event{
				"ok":          componentstatus.NewEvent(componentstatus.StatusOK),
				"recoverable": componentstatus.NewRecoverableErrorEvent(reason),
				"permanent":   componentstatus.NewPermanentErrorEvent(reason),
			}
			componentstatus.ReportStatus(host, events[lines.Text()])
			fmt.Println(lines.Text())
		}
	}()
	return nil
}

func (reporter) Shutdown(context.Context) error { return nil }
