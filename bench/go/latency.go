package main

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// A minute's timer, started and stopped; what a time-out that does not happen costs.
func timer(r *run) error {
	r.params = "after_s=60"
	var fired int32
	r.start()
	for i := 0; i < r.n; i++ {
		t := time.AfterFunc(time.Minute, func() { atomic.StoreInt32(&fired, 1) })
		t.Stop()
	}
	r.stop()
	if atomic.LoadInt32(&fired) != 0 {
		return fmt.Errorf("a stopped timer fired")
	}
	return nil
}

// The same with a channel that gets the time: what a receive's time-out costs.
func timerChan(r *run) error {
	r.params = "after_s=60"
	r.start()
	for i := 0; i < r.n; i++ {
		t := time.NewTimer(time.Minute)
		if !t.Stop() {
			return fmt.Errorf("a timer of a minute fired")
		}
	}
	r.stop()
	return nil
}

// One timer for all. A stopped one may be reset: nothing has been sent.
func timerChanReset(r *run) error {
	r.params = "after_s=60 timers=1"
	t := time.NewTimer(time.Minute)
	t.Stop()
	r.start()
	for i := 0; i < r.n; i++ {
		t.Reset(time.Minute)
		if !t.Stop() {
			return fmt.Errorf("a timer of a minute fired")
		}
	}
	r.stop()
	return nil
}

// From `go` to the goroutine's first instruction, when everything was asleep.
// Go has no foreign threads: the goroutine that starts the other one goes to
// sleep right after it, as the thread does in bench/wake_latency.c, and the
// same processor may take the new goroutine up.
func wakeLatency(r *run) error {
	r.params = "pause_us=500"
	samples := make([]float64, r.n)
	begin := time.Now()
	var ranAt int64
	r.start()
	for i := range samples {
		atomic.StoreInt64(&ranAt, 0)
		start := int64(time.Since(begin))
		go func() { atomic.StoreInt64(&ranAt, int64(time.Since(begin))) }()
		for atomic.LoadInt64(&ranAt) == 0 {
			time.Sleep(500 * time.Microsecond)
		}
		samples[i] = float64(atomic.LoadInt64(&ranAt) - start)
	}
	r.stop()
	r.spread(samples)
	return nil
}

func sleepAccuracy(r *run) error {
	const nap = 10 * time.Millisecond
	r.params = "sleep_ms=10"
	samples := make([]float64, r.n)
	time.Sleep(nap)
	r.start()
	for i := range samples {
		start := time.Now()
		time.Sleep(nap)
		samples[i] = float64(time.Since(start) - nap)
	}
	r.stop()
	r.spread(samples)
	return nil
}

func switches() int64 {
	const thread = 1 // RUSAGE_THREAD
	var all, self syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &all)
	syscall.Getrusage(thread, &self)
	return all.Nvcsw - self.Nvcsw
}

// The main goroutine sleeps in the kernel, on a thread of its own, as the main thread does in bench/idle.c.
func idle(r *run) error {
	r.params = fmt.Sprintf("ms=%d settle_ms=200", r.n)
	done := make(chan struct{})
	go func() { close(done) }()
	<-done
	runtime.LockOSThread()
	rest := func(ms int) {
		span := syscall.NsecToTimespec(int64(ms) * 1e6)
		for left := span; syscall.Nanosleep(&left, &left) == syscall.EINTR; {
		}
	}
	rest(200)
	before := switches()
	r.start()
	rest(r.n)
	woken := switches() - before
	r.stop()
	r.nsPerOp = r.cpu * 1e9
	r.note = fmt.Sprintf("wakeups=%d wakeups_per_s=%.2f", woken, float64(woken)/r.wall)
	return nil
}
