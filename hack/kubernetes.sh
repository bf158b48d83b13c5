#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Writes config/kubernetes.yaml and the version of the image into the manifests and into the
# values of the Helm chart.
set -eu
cd "$(dirname "$0")/.."

indented() { sed -e 's/^./    &/' config/kubernetes.yaml; }

cat >deploy/kubernetes/configmap.yaml <<EOF
# SPDX-License-Identifier: Apache-2.0
#
# config/kubernetes.yaml, written by make generate-kubernetes.
apiVersion: v1
kind: ConfigMap
metadata:
  name: otelcol-getsockopt
  namespace: getsockopt
data:
  config.yaml: |
$(indented)
EOF

# The configuration is the last key of the values.
values=deploy/helm/values.yaml
before=$(sed -e '/^alternateConfig:$/q' $values)
printf '%s\n%s\n' "$before" "$(indented)" >$values

version=$(cat VERSION)
sed -i "s|\(image: otelcol-getsockopt-k8s:\)[^ ]*|\1$version|" deploy/kubernetes/least.yaml deploy/kubernetes/full.yaml
sed -i "s|^  tag: .*|  tag: $version|" $values
