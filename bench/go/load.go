package main

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func steal(r *run) error {
	r.params = "piece_iterations=800"
	var ones, expected uint64
	results := make([]uint8, r.n)
	var all sync.WaitGroup
	r.start()
	all.Add(r.n)
	for i := 0; i < r.n; i++ {
		go func(i int) {
			results[i] = uint8(busyWork(uint64(i)) >> 63)
			all.Done()
		}(i)
	}
	all.Wait()
	for _, one := range results {
		ones += uint64(one)
	}
	r.stop()
	for i := 0; i < r.n; i++ {
		expected += busyWork(uint64(i)) >> 63
	}
	if ones != expected {
		return fmt.Errorf("%d ones, expected %d", ones, expected)
	}
	r.note = fmt.Sprintf("workers=%d", runtime.GOMAXPROCS(0))
	return nil
}

// GOMAXPROCS from 1 to 64 and back every two milliseconds: the world stops for each.
func growShrink(r *run) error {
	const most = 64
	r.params = "limit=10000 workers=1..64 every_ms=2"
	var stop int32
	resizes, ended := 0, make(chan struct{})
	r.start()
	go func() {
		for i := 0; atomic.LoadInt32(&stop) == 0; i++ {
			half := i / 2 % most
			if i%2 == 1 {
				runtime.GOMAXPROCS(most - half)
			} else {
				runtime.GOMAXPROCS(1 + half)
			}
			resizes++
			time.Sleep(2 * time.Millisecond)
		}
		close(ended)
	}()
	var sink uint64
	semaphore(r.n, func(i int) {
		if busyWork(1) == 0 {
			atomic.AddUint64(&sink, 1)
		}
		countOne(i)
	})
	atomic.StoreInt32(&stop, 1)
	<-ended
	r.stop()
	r.note = fmt.Sprintf("resizes=%d", resizes)
	return countExpect(r.n)
}
