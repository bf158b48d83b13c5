// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
)

const (
	node  = "node-1"
	token = "of-the-service-account"
)

// apiServer serves the pods of the node: list and watch, also as a stream that begins with
// what there is (sendInitialEvents). It grants nothing else.
type apiServer struct {
	*httptest.Server
	mu      sync.Mutex
	pods    map[string]pod // by uid
	added   int
	events  []event       // a resource version is an index
	changed chan struct{} // closed at the next event
	down    bool
	asked   int
}

type event struct {
	Type   string `json:"type"`
	Object any    `json:"object"`
}

func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	s := &apiServer{pods: map[string]pod{}, changed: make(chan struct{})}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.answers() {
			http.Error(w, "starting", http.StatusServiceUnavailable)
			return
		}
		if err := s.serve(w, r); err != nil {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
			http.Error(w, err.Error(), http.StatusForbidden)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *apiServer) answers() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return !s.down
}

func (s *apiServer) serve(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	switch {
	case r.Header.Get("Authorization") != "Bearer "+token:
		return errors.New("not the service account")
	case r.Method != http.MethodGet || r.URL.Path != "/api/v1/pods":
		return errors.New("the role allows to list and watch pods alone")
	case query.Get("fieldSelector") != "spec.nodeName="+node:
		return errors.New("asks for more than the pods of its node")
	}
	w.Header().Set("Content-Type", "application/json")
	if query.Get("watch") == "" {
		items, version := s.list()
		return json.NewEncoder(w).Encode(map[string]any{
			"kind": "PodList", "apiVersion": "v1", "metadata": map[string]any{"resourceVersion": strconv.Itoa(version)}, "items": items,
		})
	}
	return s.watch(w, r)
}

func (s *apiServer) watch(w http.ResponseWriter, r *http.Request) error {
	send := func(e event) bool {
		if json.NewEncoder(w).Encode(e) != nil {
			return false // the client is gone
		}
		w.(http.Flusher).Flush()
		return true
	}
	version, err := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		var items []any
		items, version = s.list()
		for _, item := range items {
			send(event{"ADDED", item})
		}
		send(event{"BOOKMARK", map[string]any{"kind": "Pod", "apiVersion": "v1", "metadata": map[string]any{
			"resourceVersion": strconv.Itoa(version), "annotations": map[string]string{"k8s.io/initial-events-end": "true"},
		}}})
	} else if err != nil {
		return err
	}
	w.(http.Flusher).Flush()
	for {
		s.mu.Lock()
		news, changed := s.events[version:], s.changed
		s.mu.Unlock()
		for _, e := range news {
			if !send(e) {
				return nil
			}
		}
		version += len(news)
		select {
		case <-changed:
		case <-r.Context().Done():
			return nil
		}
	}
}

func (s *apiServer) list() (items []any, version int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, uid := range slices.Sorted(maps.Keys(s.pods)) {
		items = append(items, s.pods[uid].object(len(s.events)))
	}
	return items, len(s.events)
}

// set adds a pod or changes one. It returns how many were ever added.
func (s *apiServer) set(p pod) (added int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := "MODIFIED"
	if _, found := s.pods[p.uid]; !found {
		kind = "ADDED"
		s.added++
	}
	s.pods[p.uid] = p
	s.append(kind, p)
	return s.added
}

func (s *apiServer) remove(p pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pods, p.uid)
	s.append("DELETED", p)
}

func (s *apiServer) append(kind string, p pod) {
	s.events = append(s.events, event{kind, p.object(len(s.events) + 1)})
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *apiServer) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *apiServer) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// account makes the folder that kubelet mounts into a pod for its service account.
func (s *apiServer) account(t *testing.T) string {
	t.Helper()
	path := harness.WriteFile(t, "ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "token"), []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(path)
}
