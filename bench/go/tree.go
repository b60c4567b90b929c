package main

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// github.com/atemerev/skynet, its version in Go.
func skynet(to chan<- int, first, size, children int) {
	if size == 1 {
		to <- first
		return
	}
	results := make(chan int)
	for i := 0; i < children; i++ {
		go skynet(results, first+i*(size/children), size/children, children)
	}
	sum := 0
	for i := 0; i < children; i++ {
		sum += <-results
	}
	to <- sum
}

func skynetTree(r *run) error {
	const children = 10
	r.params = "children=10 capacity=0"
	leaves := 1
	for leaves*children <= r.n {
		leaves *= children
	}
	r.n = leaves
	result := make(chan int)
	r.start()
	go skynet(result, 0, r.n, children)
	sum := <-result
	r.stop()
	return expectSum(uint64(sum), r.n)
}

func numbers(to chan<- uint64) {
	for i := uint64(2); ; i++ {
		to <- i
	}
}

func withoutMultiples(in <-chan uint64, out chan<- uint64, prime uint64) {
	for number := range in {
		if number%prime != 0 {
			out <- number
		}
	}
}

// The chain is left as it stands.
func sieve(r *run) error {
	r.params = "capacity=0"
	var prime uint64
	r.start()
	end := make(chan uint64)
	go numbers(end)
	for i := 0; i < r.n; i++ {
		prime = <-end
		next := make(chan uint64)
		go withoutMultiples(end, next, prime)
		end = next
	}
	r.stop()
	r.note = fmt.Sprintf("last=%d", prime)
	if prime != nthPrime(r.n) {
		return fmt.Errorf("%d is not prime %d", prime, r.n)
	}
	return nil
}

func nthPrime(n int) uint64 {
	candidate := uint64(1)
	for n > 0 {
		candidate++
		divisor := uint64(2)
		for divisor*divisor <= candidate && candidate%divisor != 0 {
			divisor++
		}
		if divisor*divisor > candidate {
			n--
		}
	}
	return candidate
}

// KiB that n receivers add while they wait. Go does not tell how many are parked: each counts itself just before, and
// the tenth of a second is for the last of them.
func parkAndRelease(n int) int {
	var coming int64
	var all sync.WaitGroup
	c := make(chan uint64)
	before := residentKB()
	all.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			atomic.AddInt64(&coming, 1)
			<-c
			all.Done()
		}()
	}
	for atomic.LoadInt64(&coming) < int64(n) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond)
	kb := residentKB() - before
	close(c)
	all.Wait()
	return kb
}

func parked(r *run) error {
	const warmUp = 100
	r.params = "unit=bytes"
	parkAndRelease(warmUp)
	runtime.GC()
	r.start()
	kb := parkAndRelease(r.n)
	r.stop()
	r.note = fmt.Sprintf("resident +%d KiB", kb)
	r.nsPerOp = float64(kb) * 1024 / float64(r.n)
	return nil
}
