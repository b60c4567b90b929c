package main

import (
	"sync"
	"time"
)

const limit = 10000

// Bare goroutines behind a counting semaphore, the idiom that needs no package:
// a buffered channel with a place for each that may run.
func semaphore(n int, body func(i int)) {
	places := make(chan struct{}, limit)
	var all sync.WaitGroup
	all.Add(n)
	for i := 0; i < n; i++ {
		places <- struct{}{}
		go func(i int) {
			body(i)
			<-places
			all.Done()
		}(i)
	}
	all.Wait()
}

func nap(i int) {
	time.Sleep(10 * time.Millisecond)
	countOne(i)
}

func millionSemaphore(r *run) error {
	r.params = "limit=10000 sleep_ms=10"
	r.start()
	semaphore(r.n, nap)
	r.stop()
	return countExpect(r.n)
}

// The wait group is the count: it would panic or hang if it were wrong.
func noopSemaphore(r *run) error {
	r.params = "limit=10000"
	r.start()
	semaphore(r.n, func(int) {})
	r.stop()
	return nil
}

func sleep1m(r *run) error {
	r.params = "sleep_ms=10"
	var all sync.WaitGroup
	r.start()
	all.Add(r.n)
	for i := 0; i < r.n; i++ {
		go func(i int) {
			nap(i)
			all.Done()
		}(i)
	}
	all.Wait()
	r.stop()
	return countExpect(r.n)
}
