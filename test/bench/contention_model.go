// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/getsockopt/getsockoptreceiver/internal/probe"

// machine is a published measurement of contended atomic adds: what an add costs each of n
// CPUs that add to one variable and do nothing else.
type machine struct {
	name string
	adds []contendedAdd // by CPUs
}

type contendedAdd struct{ cpus, ns float64 }

// published are from Paul E. McKenney's "Is Parallel Programming Hard, And, If So, What Can
// You Do About It?", the averages in CodeSamples/count/data, files count_atomic:u.*.dat.
var published = []machine{
	{"AMD EPYC Milan, 166 CPUs (amd-milan.2024.09.22a)", []contendedAdd{
		{1, 2.53},
		{2, 11.2},
		{3, 18.6},
		{4, 24.9},
		{6, 37.1},
		{8, 51.7},
		{12, 81.2},
		{16, 115.5},
		{24, 188.9},
		{32, 268.1},
		{48, 429.2},
		{64, 584.3},
		{80, 776.2},
		{96, 991.6},
		{112, 1263},
		{128, 1605},
	}},
	{"8 Intel Xeon Platinum 8176, 448 CPUs (hps.2019.10.23a)", []contendedAdd{
		{1, 4.83},
		{2, 63.9},
		{3, 91.4},
		{4, 113.2},
		{6, 157.3},
		{8, 203.2},
		{12, 292.5},
		{16, 371.6},
		{24, 541.2},
		{32, 704.6},
		{48, 1082},
		{64, 1586},
		{80, 2139},
		{96, 2665},
		{112, 3206},
		{128, 3766},
	}},
}

// add interpolates between the measurements next to n CPUs.
func (m *machine) add(n int) float64 {
	at := float64(n)
	below := m.adds[0]
	for _, above := range m.adds {
		if at <= above.cpus {
			if above.cpus == below.cpus {
				return above.ns
			}
			return below.ns + (at-below.cpus)/(above.cpus-below.cpus)*(above.ns-below.ns)
		}
		below = above
	}
	return below.ns * at / below.cpus
}

// callLines are the cache lines that a call contends for, by how often it needs each: one,
// to read the key of the series and for the add, which is one for number and duration. (A
// call longer than the first five buckets needs the line once, and only reads the other.)
// The counter of all calls is contended on hosts of more than 64 CPUs, by two of them.
var callLines = []float64{2}

// contenders is how many of n callers, each on a CPU of a host of n, contend for a line.
func contenders(n int) int {
	shards := probe.Shards(n)
	return (n + shards - 1) / shards
}

// contendedCall returns what a call costs each of n callers that contend, in ns, from its
// cost alone.
//
// The callers are the customers of a closed network of queues with load-dependent service:
// each cache line is a queue, the rest of a call a delay. Such a network has a solution in
// product form, which is computed by convolution (J. P. Buzen, Computational algorithms for
// closed queueing networks with exponential servers, CACM 16, 1973). While j callers need a
// line, it serves j in the time that an add costs each of j CPUs. A single caller takes it
// from another CPU, which costs what it costs two. A read costs what an add does.
func contendedCall(m *machine, alone float64, lines []float64, n int) float64 {
	if n == 1 {
		return alone
	}
	delay := make([]float64, n+1)
	delay[0] = 1
	for j := 1; j <= n; j++ {
		delay[j] = delay[j-1] / float64(j) // times are in units of alone
	}
	weights := delay
	for _, visits := range lines {
		queue := make([]float64, n+1)
		queue[0] = 1
		for j := 1; j <= n; j++ {
			queue[j] = queue[j-1] * visits * m.add(max(j, 2)) / alone / float64(j)
		}
		weights = convolve(weights, queue)
	}
	return alone * float64(n) * weights[n] / weights[n-1]
}

// convolve returns the sums over all ways to divide customers between two parts.
func convolve(a, b []float64) []float64 {
	sums := make([]float64, len(a))
	for n := range sums {
		for j := range n + 1 {
			sums[n] += a[j] * b[n-j]
		}
	}
	return sums
}
