package main

import (
	"fmt"
	"sync"
)

// Of the numbers 0 to n - 1, once each.
func expectSum(sum uint64, n int) error {
	if expected := uint64(n) * uint64(n-1) / 2; sum != expected {
		return fmt.Errorf("the sum of what came is %d, expected %d", sum, expected)
	}
	return nil
}

func chanPingpong(r *run) error {
	r.params = "capacity=0"
	there, back := make(chan uint64), make(chan uint64)
	go func() {
		for ball := range there {
			back <- ball
		}
	}()
	var sum uint64
	r.start()
	for i := 0; i < r.n; i++ {
		there <- uint64(i)
		sum += <-back
	}
	r.stop()
	close(there)
	return expectSum(sum, r.n)
}

func convey(r *run, each int) error {
	const capacity = 128
	r.params = fmt.Sprintf("capacity=%d producers=%d consumers=%d", capacity, each, each)
	share := r.n / each
	r.n = share * each
	belt := make(chan uint64, capacity)
	sums := make(chan uint64)
	var producers sync.WaitGroup
	r.start()
	for c := 0; c < each; c++ {
		go func() {
			var sum uint64
			for number := range belt {
				sum += number
			}
			sums <- sum
		}()
	}
	producers.Add(each)
	for p := 0; p < each; p++ {
		go func(first int) {
			for i := first; i < first+share; i++ {
				belt <- uint64(i)
			}
			producers.Done()
		}(p * share)
	}
	producers.Wait()
	close(belt)
	var sum uint64
	for c := 0; c < each; c++ {
		sum += <-sums
	}
	r.stop()
	return expectSum(sum, r.n)
}

func chanBuffered(r *run) error { return convey(r, 1) }

func chanMpmc(r *run) error { return convey(r, 4) }

func selectTwo(r *run) error {
	r.params = "channels=2 capacity=0"
	half := r.n / 2
	r.n = half * 2
	produce := func(to chan<- uint64, first int) {
		for i := first; i < first+half; i++ {
			to <- uint64(i)
		}
		close(to)
	}
	a, b := make(chan uint64), make(chan uint64)
	var sum uint64
	r.start()
	go produce(a, 0)
	go produce(b, half)
	for a != nil || b != nil {
		select {
		case number, ok := <-a:
			if !ok {
				a = nil
			}
			sum += number
		case number, ok := <-b:
			if !ok {
				b = nil
			}
			sum += number
		}
	}
	r.stop()
	return expectSum(sum, r.n)
}

func mutex(r *run) error {
	const tasks = 8
	r.params = "tasks=8"
	turns := r.n / tasks
	r.n = turns * tasks
	var mu sync.Mutex
	var count uint64
	var all sync.WaitGroup
	r.start()
	all.Add(tasks)
	for t := 0; t < tasks; t++ {
		go func() {
			for i := 0; i < turns; i++ {
				mu.Lock()
				count++
				mu.Unlock()
			}
			all.Done()
		}()
	}
	all.Wait()
	r.stop()
	return expectRan(count, r.n)
}
