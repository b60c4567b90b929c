package main

import (
	"fmt"
	"os"
	"sort"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// What bench/bench.h calls a bench_run.
type run struct {
	n         int
	params    string
	note      string
	wall, cpu float64 // seconds
	nsPerOp   float64
	peakKB    int
	late      []float64 // ns, sorted; empty when the bench is not about latencies

	wallStart time.Time
	cpuStart  float64
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

// A number of /proc/self/status, in KiB; 0: it is not there.
func statusKB(format string) int {
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		var kb int
		if n, _ := fmt.Sscanf(line, format, &kb); n == 1 {
			return kb
		}
	}
	return 0
}

func peakKB() int { return statusKB("VmHWM: %d kB") }

func residentKB() int { return statusKB("VmRSS: %d kB") }

func (r *run) start() {
	r.cpuStart = cpuSeconds()
	r.wallStart = time.Now()
}

func (r *run) stop() {
	r.wall = time.Since(r.wallStart).Seconds()
	r.cpu = cpuSeconds() - r.cpuStart
	r.peakKB = peakKB()
	r.nsPerOp = r.wall * 1e9 / float64(r.n)
}

// The smallest sample that is not below a share q of them all, as in bench/measure.c.
func (r *run) quantile(q float64) float64 {
	rank := int(q * float64(len(r.late)))
	if float64(rank) < q*float64(len(r.late)) {
		rank++
	}
	if rank > 0 {
		rank--
	}
	return r.late[rank]
}

func (r *run) spread(samples []float64) {
	sort.Float64s(samples)
	r.late = samples
	r.nsPerOp = r.quantile(0.5)
}

func (r *run) print(b *bench) {
	params := strings.TrimSpace(fmt.Sprintf("n=%d %s", r.n, r.params))
	fmt.Printf(`{"bench":"%s","impl":"%s","params":"%s","wall_s":%.6f,"cpu_s":%.6f,"peak_rss_kb":%d,"ns_per_op":%.2f,"runs":1`,
		b.name, b.impl, params, r.wall, r.cpu, r.peakKB, r.nsPerOp)
	if len(r.late) > 0 {
		fmt.Printf(`,"p50_ns":%.0f,"p99_ns":%.0f,"p999_ns":%.0f,"max_ns":%.0f`,
			r.quantile(0.5), r.quantile(0.99), r.quantile(0.999), r.late[len(r.late)-1])
	}
	if r.note != "" {
		fmt.Printf(`,"note":"%s"`, r.note)
	}
	fmt.Println("}")
}

// Counts goroutines that ran, spread over cache lines by the task's number: Go
// does not tell which processor it runs on, and one counter would be pulled to
// and fro between the cores.
var cells [64]struct {
	ran uint64
	_   [56]byte
}

func countOne(i int) { atomic.AddUint64(&cells[i&63].ran, 1) }

func countExpect(n int) error {
	var ran uint64
	for i := range cells {
		ran += atomic.LoadUint64(&cells[i].ran)
	}
	if ran != uint64(n) {
		return fmt.Errorf("%d tasks ran, expected %d", ran, n)
	}
	return nil
}

// The arithmetic of busy_work in bench/measure.c; the result is used, so that it stays.
func busyWork(seed uint64) uint64 {
	for i := 0; i < 800; i++ {
		seed = seed*6364136223846793005 + 1442695040888963407
	}
	return seed
}
