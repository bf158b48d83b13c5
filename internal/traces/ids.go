// SPDX-License-Identifier: Apache-2.0

package traces

import (
	cryptorand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// ids generates trace and span ids. They must be unique, not secret: a fast generator with
// a seed from the system is sufficient.
type ids struct{ random *rand.ChaCha8 }

func newIDs() ids {
	var seed [32]byte
	_, _ = cryptorand.Read(seed[:]) // never fails: it ends the program rather than return an error
	return ids{random: rand.NewChaCha8(seed)}
}

// trace returns a trace id whose low seven bytes are the randomness with which the call was
// sampled, so that later samplers make consistent decisions. Its other bytes are never all
// zero: an id of zeros is invalid.
func (g ids) trace(randomness uint64) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[:8], g.nonZero())
	binary.BigEndian.PutUint64(id[8:], g.random.Uint64()<<56|randomness&(1<<56-1))
	return id
}

func (g ids) span() (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], g.nonZero())
	return id
}

func (g ids) nonZero() uint64 {
	for {
		if n := g.random.Uint64(); n != 0 {
			return n
		}
	}
}
