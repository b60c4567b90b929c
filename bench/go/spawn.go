package main

import (
	"fmt"
	"runtime"
	"sync"
)

func expectRan(ran uint64, n int) error {
	if ran != uint64(n) {
		return fmt.Errorf("%d goroutines ran, expected %d", ran, n)
	}
	return nil
}

// A goroutine and the channel that tells of its end: the shortest join that Go has.
func spawnJoin(r *run) error {
	var ran uint64
	done := make(chan struct{})
	r.start()
	for i := 0; i < r.n; i++ {
		go func() {
			ran++
			done <- struct{}{}
		}()
		<-done
	}
	r.stop()
	return expectRan(ran, r.n)
}

const batch = 1000

func spawnBatch(r *run) error {
	r.params = "batch=1000"
	var ran uint64
	results := make([]int, batch)
	r.start()
	for left := r.n; left > 0; {
		size := batch
		if left < size {
			size = left
		}
		var all sync.WaitGroup
		all.Add(size)
		for i := 0; i < size; i++ {
			go func(i int) {
				results[i] = 1
				all.Done()
			}(i)
		}
		all.Wait()
		for i := 0; i < size; i++ {
			ran += uint64(results[i])
			results[i] = 0
		}
		left -= size
	}
	r.stop()
	return expectRan(ran, r.n)
}

func yield(r *run) error {
	const tasks = 8
	r.params = "tasks=8 workers=1"
	runtime.GOMAXPROCS(1)
	turns := r.n / tasks
	r.n = turns * tasks
	var all sync.WaitGroup
	r.start()
	all.Add(tasks)
	for t := 0; t < tasks; t++ {
		go func() {
			for i := 0; i < turns; i++ {
				runtime.Gosched()
			}
			all.Done()
		}()
	}
	all.Wait()
	r.stop()
	return nil
}
