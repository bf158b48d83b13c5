// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const name = "otelcol-getsockopt-k8s"

// user is that of OpenTelemetry's own images. Kubernetes needs another one, see
// deploy/kubernetes.
const user = "10001"

func main() {
	root := flag.String("root", ".", "the repository")
	out := flag.String("out", "", "the folder of the layout, which must be new")
	flag.Parse()
	if err := write(*root, *out); err != nil {
		fmt.Fprintf(os.Stderr, "image: %v\n", err)
		os.Exit(1)
	}
}

// write writes a layout that refers to one index, under the version as its name.
func write(root, out string) error {
	b, err := os.ReadFile(filepath.Join(root, "VERSION"))
	if err != nil {
		return err
	}
	version := strings.TrimSpace(string(b))
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range []string{"amd64", "arm64"} {
		image, err := build(root, arch, version)
		if err != nil {
			return fmt.Errorf("build the image for %s: %w", arch, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        image,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	path, err := layout.Write(out, empty.Index)
	if err != nil {
		return fmt.Errorf("write %s: %w", out, err)
	}
	err = path.AppendIndex(index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": version}))
	if err != nil {
		return fmt.Errorf("write %s: %w", out, err)
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	fmt.Printf("%s:%s %s\n", name, version, digest)
	return nil
}

func build(root, arch, version string) (v1.Image, error) {
	content, err := files(root, arch)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.AppendLayers(image, layer); err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	config.Config = v1.Config{
		User:       user,
		Entrypoint: []string{"/" + name},
		Cmd:        []string{"--config=/etc/" + name + "/config.yaml", "--feature-gates=extension.healthcheck.useComponentStatus"},
		Labels: map[string]string{
			"org.opencontainers.image.title":    name,
			"org.opencontainers.image.version":  version,
			"org.opencontainers.image.source":   "https://github.com/getsockopt/getsockoptreceiver",
			"org.opencontainers.image.licenses": "Apache-2.0 AND (GPL-2.0-only OR BSD-2-Clause)",
		},
	}
	return mutate.ConfigFile(image, config)
}

// files is the content of the image as a tar archive. Times are zero, so that two builds
// are equal.
func files(root, arch string) ([]byte, error) {
	binary := filepath.Join(root, "dist-k8s", "linux-"+arch, name)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range []struct {
		path, source string
		mode         int64
	}{
		{name, binary, 0o755},
		{"etc/" + name + "/config.yaml", filepath.Join(root, "config/kubernetes.yaml"), 0o644},
		{"usr/share/doc/" + name + "/LICENSE", filepath.Join(root, "LICENSE"), 0o644},
		{"usr/share/doc/" + name + "/LICENSE.GPL-2.0", filepath.Join(root, "bpf/LICENSE.GPL-2.0"), 0o644},
		{"usr/share/doc/" + name + "/LICENSE.BSD-2-Clause", filepath.Join(root, "bpf/LICENSE.BSD-2-Clause"), 0o644},
		{"usr/share/doc/" + name + "/sbom.cdx.json", binary + ".cdx.json", 0o644},
	} {
		b, err := os.ReadFile(f.source)
		if err != nil {
			return nil, err
		}
		if err := add(w, f.path, f.mode, b); err != nil {
			return nil, err
		}
	}
	if err := add(w, "etc/ssl/certs/ca-certificates.crt", 0o644, authorities()); err != nil {
		return nil, err
	}
	return archive.Bytes(), w.Close()
}

func add(w *tar.Writer, path string, mode int64, content []byte) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: mode, Size: int64(len(content)), Format: tar.FormatUSTAR}
	if err := w.WriteHeader(header); err != nil {
		return fmt.Errorf("add %s: %w", path, err)
	}
	_, err := w.Write(content)
	return err
}

// authorities are the certificates that TLS needs to reach a public gateway. Those with a
// further constraint are left out: a file cannot express it.
func authorities() []byte {
	var all bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			all.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return all.Bytes()
}
