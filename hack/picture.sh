#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Takes docs/images/trace.png: a request of test/publisher/otelprogram/checkout on a page of
# Jaeger. The argument is the folder of Jaeger's built user interface, see
# docs/development.md. Needs root, make build jaeger, curl, Chromium and pngquant.
set -eu
ui=$(realpath "${1:?usage: $0 FOLDER}")
cd "$(dirname "$0")/.."
export OTLP_ADDRESS=127.0.0.1:4317 QUERY_ADDRESS=127.0.0.1:16686 QUERY_GRPC_ADDRESS=127.0.0.1:16685

work=$(mktemp -d)
programs=
# shellcheck disable=SC2086
trap 'kill $programs; rm -r "$work"' EXIT
run() {
	"$@" >"$work/log" 2>&1 &
	programs="$programs $!"
}
answer() { curl -fsS --retry 30 --retry-connrefused --retry-delay 1 "$@"; }

go build -C test/publisher/otelprogram -o "$work/checkout" ./checkout
go build -C tools/picture -o "$work/picture" .

run .cache/jaeger --config test/e2e/testdata/jaeger.yaml \
	--set extensions.jaeger_query.ui.assets_path="$ui" \
	--set extensions.jaeger_query.ui.config_file=tools/picture/ui.json
answer -o /dev/null "http://$QUERY_ADDRESS/"
run dist/otelcol-getsockopt --config config/jaeger.yaml
answer -o /dev/null http://localhost:8889/metrics
run env OTEL_SERVICE_NAME=checkout OTEL_EXPORTER_OTLP_ENDPOINT="http://$OTLP_ADDRESS" \
	"$work/checkout" 127.0.0.1:8080
# The receiver finds the program within a second, on a busy host later. The program exports
# after five.
sleep 5
trace=$(curl -sS http://127.0.0.1:8080/checkout)
sleep 7

"$work/picture" "http://$QUERY_ADDRESS/trace/$trace?uiEmbed=v0&uiTimelineHideMinimap=1" "$work/trace.png"
pngquant --strip --output docs/images/trace.png --force "$work/trace.png"
