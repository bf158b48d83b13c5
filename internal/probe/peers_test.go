// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/getsockopt/getsockoptreceiver/bpf"
	"github.com/getsockopt/getsockoptreceiver/internal/record"
	"github.com/getsockopt/getsockoptreceiver/test/caller"
)

// Each part of a peer makes series, alone too. The whole peer is a kind of
// TestEveryKindThroughEveryHook.
func TestSeriesOfPeers(t *testing.T) {
	for parts, want := range map[record.PeerParts]int{
		record.PeerPort:    caller.PeersOfErrors,
		record.PeerAddress: 3, // of IPv4 by two families, of IPv6
		0:                  0,
	} {
		t.Run(fmt.Sprintf("%b", parts), func(t *testing.T) {
			o := spans(HookAuto)
			o.PeerParts = parts
			p := open(t, o)
			p.Complete()
			checkPeers(t, p, want)
			checkAccounting(t, p)
		})
	}
}

// Each series of pending errors is of the peer, or the part of it, that the spans of its calls
// have, and has all of them.
func checkPeers(t *testing.T, p *Probe, want int) {
	t.Helper()
	const rounds = 3
	scripts := []string{"peers"}
	if uringPossible(t) {
		scripts = append(scripts, "peers of requests")
	}
	for _, script := range scripts {
		c := caller.Command(t, fmt.Sprintf("%s:%d", script, rounds), "OTEL_SERVICE_NAME=peers")
		caller.Run(t, c)
		sent, peers := make(map[record.SeriesKey]uint64), make(map[record.Peer]bool)
		var group uint32
		for _, call := range drain(t, p, c.Process.Pid).calls {
			group = call.Group
			if key := call.SeriesKey(p.options.PeerParts); key.Pending {
				sent[key]++
				peers[key.Peer] = true
			}
		}
		counted := make(map[record.SeriesKey]uint64)
		for _, series := range seriesOf(snapshot(t, p), group) {
			if series.Pending && (series.Entry == record.EntryIOUring) == (script != "peers") {
				counted[series.SeriesKey] += series.Count()
			}
		}
		if difference := cmp.Diff(sent, counted); difference != "" {
			t.Errorf("%s: series by the records (-) and by the kernel (+):\n%s", script, difference)
		}
		delete(peers, record.Peer{}) // of the Unix socket
		if len(peers) != want {
			t.Errorf("%s: %d peers %v, want %d", script, len(peers), peers, want)
		}
	}
}

// Invented peers take places from nobody but their own service, and all calls are counted.
func TestInventedPeers(t *testing.T) {
	const invented, rounds = 2000, 2
	p := open(t, Options{Hook: HookAuto, SeriesLimit: 64, PeerParts: record.PeerAddress | record.PeerPort})
	run := func(script, service string) {
		c := caller.Command(t, script, "OTEL_SERVICE_NAME="+service)
		caller.Enter(t, c, caller.Cgroup(t, "/peers-"+service+".service"))
		caller.Run(t, c)
	}
	run(fmt.Sprintf("invented peers:%d", invented), "noisy")
	run(fmt.Sprintf("peers:%d", rounds), "shop")
	s := snapshot(t, p)
	type errors struct{ Named, Overflow uint64 }
	got := make(map[string]errors)
	for _, series := range s.Series {
		if !series.Pending {
			continue
		}
		service := s.Groups[series.Group].Name
		of := got[service]
		if series.Overflow {
			of.Overflow += series.Count()
		} else {
			of.Named += series.Count()
		}
		got[service] = of
	}
	if want := (errors{Named: rounds * (caller.PeersOfErrors + 1)}); got["shop"] != want {
		t.Errorf("the shop has %+v, want %+v", got["shop"], want)
	}
	if noisy := got["noisy"]; noisy.Named+noisy.Overflow != invented || noisy.Named == 0 || noisy.Overflow == 0 {
		t.Errorf("the noisy service has %+v, want %d in both", noisy, invented)
	}
	checkAccounting(t, p)
}

// A slot that was given to another peer while it is read is left to the next look.
func TestPeerIsReadWhole(t *testing.T) {
	o := Options{Hook: HookAuto, PeerParts: record.PeerAddress}
	p := open(t, o)
	p.stopControlLoop()
	id := uint32(p.places.firstSlot())
	peer := peerWords{1, 2, 4 | unix.AF_INET<<16}
	hash := peerHash(p.places.hashSeed, peer)
	counts := &p.places.counts[0]
	counts.Key = bpf.GetsockoptSeriesKey{Group: 1, Level: int32(hash >> 32), Option: int32(hash), Error: 111, Pending: pendingOfPeer}
	p.places.series[id].KeyHash = keyHash(*keyWords(counts))
	if key, complete := p.places.readKey(id); complete {
		t.Errorf("a key without its peer is complete: %+v", key)
	}
	p.places.peers[0] = peer
	key, complete := p.places.readKey(id)
	want := record.SeriesKey{
		Group: 1, Level: unix.SOL_SOCKET, Option: unix.SO_ERROR, Error: 111, Pending: true, Peer: key.Peer,
	}
	if !complete || key != want || key.Peer.Address[0] != 1 {
		t.Errorf("%+v, complete %t, want %+v", key, complete, want)
	}
}
