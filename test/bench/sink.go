// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/getsockopt/getsockoptreceiver/test/internal/harness"
	"github.com/getsockopt/getsockoptreceiver/test/internal/otlpsink"
)

// traffic is what came in requests of one signal.
type traffic struct {
	Requests   uint64
	Items      uint64 // spans, or points of metrics
	Plain      uint64 // bytes
	Compressed uint64 // bytes as sent
}

func (t traffic) since(before traffic) traffic {
	return traffic{
		t.Requests - before.Requests, t.Items - before.Items,
		t.Plain - before.Plain, t.Compressed - before.Compressed,
	}
}

func (t *traffic) add(more traffic) {
	t.Requests += more.Requests
	t.Items += more.Items
	t.Plain += more.Plain
	t.Compressed += more.Compressed
}

// received is the state of a sink.
type received struct {
	Endpoint        string
	Traces, Metrics traffic
	FirstSpan       time.Time
	Error           string
}

// sinkServer is an OTLP/HTTP server that counts. It has a process of its own, so that its work
// is not taken for the Collector's.
type sinkServer struct {
	mu sync.Mutex
	received
}

// serveSink answers each line with what it has received so far, the first of its own accord.
func serveSink(in io.Reader, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &sinkServer{received: received{Endpoint: "http://" + l.Addr().String()}}
	go func() {
		if err := http.Serve(l, s); err != nil {
			s.fail(err)
		}
	}()
	asked := bufio.NewScanner(in)
	answers := json.NewEncoder(out)
	for more := true; more; more = asked.Scan() {
		s.mu.Lock()
		err := answers.Encode(s.received)
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return asked.Err()
}

func (s *sinkServer) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Error = err.Error()
}

func (s *sinkServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := s.take(r); err != nil {
		s.fail(err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	otlpsink.Accept(w, r)
}

func (s *sinkServer) take(r *http.Request) error {
	compressed, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("read a request: %w", err)
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return fmt.Errorf("decompress a request, which the exporter should compress: %w", err)
	}
	plain, err := io.ReadAll(unzipped)
	if err != nil {
		return fmt.Errorf("decompress a request: %w", err)
	}
	r.Header.Del("Content-Encoding")
	r.Body = io.NopCloser(bytes.NewReader(plain))
	batch, err := otlpsink.Read(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	got := traffic{Requests: 1, Plain: uint64(len(plain)), Compressed: uint64(len(compressed))}
	if batch.Traces == nil {
		got.Items = uint64(batch.Metrics.DataPointCount())
		s.Metrics.add(got)
		return nil
	}
	got.Items = uint64(batch.Traces.SpanCount())
	s.Traces.add(got)
	if s.FirstSpan.IsZero() {
		s.FirstSpan = time.Now()
	}
	return nil
}

// sinkProcess is a process with a sink.
type sinkProcess struct {
	*harness.Worker
	answers *json.Decoder
	first   received
}

func startSink(ctx context.Context) (*sinkProcess, error) {
	c := exec.CommandContext(ctx, "/proc/self/exe")
	c.Env = []string{roleVariable + "=" + roleSink}
	c.Stderr = os.Stderr
	w, err := harness.StartWorker(c)
	if err != nil {
		return nil, err
	}
	s := &sinkProcess{Worker: w, answers: json.NewDecoder(w.Out)}
	if s.first, err = s.answer(); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (s *sinkProcess) state() (received, error) {
	if _, err := fmt.Fprintln(s.In); err != nil {
		return received{}, fmt.Errorf("ask the sink: %w", err)
	}
	return s.answer()
}

func (s *sinkProcess) answer() (r received, err error) {
	if err := s.answers.Decode(&r); err != nil {
		return r, fmt.Errorf("read the sink's answer: %w", err)
	}
	if r.Error != "" {
		return r, fmt.Errorf("the sink failed: %s", r.Error)
	}
	return r, nil
}

func (s *sinkProcess) stop() error {
	_, err := s.Stop()
	return err
}
