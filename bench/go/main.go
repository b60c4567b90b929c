// The twins in Go of skua's benches: the same bodies, one run of one bench in
// one process, printed as a JSON line of the same form.
//
//	skua-bench-go NAME [--impl IMPL] [--n N]
//	skua-bench-go --impls
package main

import (
	"flag"
	"fmt"
	"os"
)

// A bench fills in the run; it calls run.start and run.stop around what it measures.
type bench struct {
	name, impl string
	n          int
	body       func(*run) error
}

var benches = []bench{
	{"million", "go", 1000000, millionSemaphore},
	{"noop", "go", 1000000, noopSemaphore},
	{"million-full", "go", 1000000, millionFull},
	{"noop-bounded", "go", 1000000, noopBounded},
	{"noop-4", "go", 1000000, noop4},
	{"future", "go", 1000000, future},
	{"priority", "go", 1000000, priority},
	{"group", "go", 1000000, group},
	{"spawn-join", "go", 1000000, spawnJoin},
	{"spawn-batch", "go", 1000000, spawnBatch},
	{"yield", "go", 8000000, yield},
	{"sleep-1m", "go", 1000000, sleep1m},
	{"timer", "go", 2000000, timer},
	{"timer-chan", "go", 2000000, timerChan},
	{"timer-chan", "go-reset", 2000000, timerChanReset},
	{"chan-pingpong", "go", 2000000, chanPingpong},
	{"chan-buffered", "go", 5000000, chanBuffered},
	{"chan-mpmc", "go", 4000000, chanMpmc},
	{"select", "go", 2000000, selectTwo},
	{"mutex", "go", 8000000, mutex},
	{"skynet", "go", 1000000, skynetTree},
	{"sieve", "go", 2000, sieve},
	{"parked", "go", 100000, parked},
	{"wake-latency", "go", 3000, wakeLatency},
	{"steal", "go", 300000, steal},
	{"grow-shrink", "go", 500000, growShrink},
	{"sleep-accuracy", "go", 300, sleepAccuracy},
	{"idle", "go", 3000, idle},
}

func find(name, impl string) *bench {
	for i := range benches {
		if benches[i].name == name && benches[i].impl == impl {
			return &benches[i]
		}
	}
	return nil
}

func fail(format string, args ...interface{}) {
	fmt.Fprintf(os.Stderr, "skua-bench-go: "+format+"\n", args...)
	os.Exit(1)
}

func main() {
	impl := flag.String("impl", "go", "go, go-errgroup or go-reset")
	n := flag.Int("n", 0, "operations; 0: the bench's own number")
	impls := flag.Bool("impls", false, "list what there is")
	if len(os.Args) > 1 && os.Args[1][0] != '-' {
		flag.CommandLine.Parse(os.Args[2:])
	} else {
		flag.Parse()
	}
	if *impls {
		for _, b := range benches {
			fmt.Println(b.name, b.impl)
		}
		return
	}
	if len(os.Args) < 2 {
		fail("which bench? --impls names them")
	}
	b := find(os.Args[1], *impl)
	if b == nil {
		fail("no bench %s (%s)", os.Args[1], *impl)
	}
	r := &run{n: b.n}
	if *n > 0 {
		r.n = *n
	}
	if err := b.body(r); err != nil {
		fail("%s (%s): %v", b.name, b.impl, err)
	}
	r.print(b)
}
