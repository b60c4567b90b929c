package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const queueLength = 10000

// What Go's users write for a pool with a queue: a buffered channel of
// functions, and a goroutine that starts them while there is a place.
type pool struct {
	jobs   chan func()
	places chan struct{}
	all    sync.WaitGroup
}

func newPool() *pool {
	p := &pool{jobs: make(chan func(), queueLength), places: make(chan struct{}, limit)}
	go func() {
		for job := range p.jobs {
			p.start(job)
		}
	}()
	return p
}

func (p *pool) start(job func()) {
	p.places <- struct{}{}
	go func() {
		job()
		<-p.places
		p.all.Done()
	}()
}

func (p *pool) submit(job func()) {
	p.all.Add(1)
	p.jobs <- job
}

func (p *pool) close() {
	p.all.Wait()
	close(p.jobs)
}

func nothing() {}

func noopBounded(r *run) error {
	r.params = "limit=10000 queue=10000"
	r.start()
	p := newPool()
	for i := 0; i < r.n; i++ {
		p.submit(nothing)
	}
	p.all.Wait()
	r.stop()
	p.close()
	return nil
}

func noop4(r *run) error {
	const submitters = 4
	r.params = "limit=10000 queue=10000 submitters=4"
	r.n = r.n / submitters * submitters
	r.start()
	p := newPool()
	var submitting sync.WaitGroup
	submitting.Add(submitters)
	for s := 0; s < submitters; s++ {
		go func() {
			for i := 0; i < r.n/submitters; i++ {
				p.submit(nothing)
			}
			submitting.Done()
		}()
	}
	submitting.Wait()
	p.all.Wait()
	r.stop()
	p.close()
	return nil
}

// A channel for each level; who starts the tasks looks at them from the top.
func priority(r *run) error {
	const levels = 3
	r.params = "limit=10000 levels=3"
	var jobs [levels]chan func()
	for i := range jobs {
		jobs[i] = make(chan func(), 1024)
	}
	p := &pool{places: make(chan struct{}, limit)}
	r.start()
	p.all.Add(r.n)
	go func() {
		for i := 0; i < r.n; i++ {
			p.start(next(jobs[0], jobs[1], jobs[2]))
		}
	}()
	for i := 0; i < r.n; i++ {
		jobs[i%levels] <- nothing
	}
	p.all.Wait()
	r.stop()
	return nil
}

func next(first, second, third chan func()) func() {
	select {
	case job := <-first:
		return job
	default:
	}
	select {
	case job := <-first:
		return job
	case job := <-second:
		return job
	default:
	}
	select {
	case job := <-first:
		return job
	case job := <-second:
		return job
	case job := <-third:
		return job
	}
}

// A channel of one is the future.
func future(r *run) error {
	var ran uint64
	r.start()
	for i := 0; i < r.n; i++ {
		done := make(chan int, 1)
		go func() {
			ran++
			done <- 0
		}()
		<-done
	}
	r.stop()
	return expectRan(ran, r.n)
}

func group(r *run) error {
	r.params = "limit=0"
	var all sync.WaitGroup
	var ran uint64
	r.start()
	for i := 0; i < r.n; i++ {
		all.Add(1)
		go func() {
			atomic.AddUint64(&ran, 1)
			all.Done()
		}()
	}
	all.Wait()
	r.stop()
	return expectRan(ran, r.n)
}

// The sleep ends early when the timeout passes, as a task's does.
func napWithin(ctx context.Context) error {
	timer := time.NewTimer(10 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func millionFull(r *run) error {
	r.params = "limit=10000 sleep_ms=10 timeout_s=1 retry=1 callback=1"
	r.start()
	semaphore(r.n, func(i int) {
		var err error
		for attempt := 0; attempt < 2; attempt++ {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			err = napWithin(ctx)
			cancel()
			if err == nil {
				break
			}
		}
		if err == nil {
			countOne(i)
		}
	})
	r.stop()
	return countExpect(r.n)
}
