#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Packs what make built: a tarball of each distribution and architecture, and an archive of
# the image, all without times and owners.
#
#   tarballs.sh VERSION FOLDER ARCH...
set -eu
version=$1 folder=$2
shift 2

pack() { tar --mode=u=rwX,go=rX --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner "$@"; }

for arch; do
	for binary in dist/linux-"$arch"/otelcol-getsockopt dist-k8s/linux-"$arch"/otelcol-getsockopt-k8s; do
		name=$(basename "$binary")_${version}_linux_$arch
		pack --transform="s|^dist[^/]*/linux-$arch/||" --transform="s|^|$name/|" -cf "$folder/$name.tar" \
			"$binary" "$binary.cdx.json" LICENSE bpf/LICENSE.GPL-2.0 bpf/LICENSE.BSD-2-Clause config
		gzip -n "$folder/$name.tar"
	done
done
pack -C dist/image -cf "$folder/otelcol-getsockopt-k8s_${version}_image.tar" .
