// SPDX-License-Identifier: Apache-2.0

package sdnotifyextension

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.opentelemetry.io/collector/extension/extensiontest"
)

func newWatcher(t *testing.T) extensioncapabilities.PipelineWatcher {
	t.Helper()
	factory := NewFactory()
	e, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig())
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, e.Shutdown(t.Context())) })
	return e.(extensioncapabilities.PipelineWatcher)
}

func TestReadyReachesSystemd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	defer socket.Close()
	require.NoError(t, socket.SetReadDeadline(time.Now().Add(10*time.Second)))
	t.Setenv("NOTIFY_SOCKET", path)
	watcher := newWatcher(t)
	for range 2 { // a start and a reload
		require.NoError(t, watcher.Ready())
		b := make([]byte, 64)
		n, err := socket.Read(b)
		require.NoError(t, err)
		require.Equal(t, "READY=1", string(b[:n]))
		require.NoError(t, watcher.NotReady())
	}
}

func TestReadyWithoutSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	require.NoError(t, newWatcher(t).Ready())
}

func TestReadyFails(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "missing"))
	require.ErrorContains(t, newWatcher(t).Ready(), "NOTIFY_SOCKET")
}
