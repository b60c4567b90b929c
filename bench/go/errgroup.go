//go:build errgroup

package main

import "golang.org/x/sync/errgroup"

func init() {
	benches = append(benches,
		bench{"million", "go-errgroup", 1000000, millionErrgroup},
		bench{"noop", "go-errgroup", 1000000, noopErrgroup})
}

func limited(n int, body func(i int)) error {
	var group errgroup.Group
	group.SetLimit(limit)
	for i := 0; i < n; i++ {
		i := i
		group.Go(func() error {
			body(i)
			return nil
		})
	}
	return group.Wait()
}

func millionErrgroup(r *run) error {
	r.params = "limit=10000 sleep_ms=10"
	r.start()
	err := limited(r.n, nap)
	r.stop()
	if err != nil {
		return err
	}
	return countExpect(r.n)
}

func noopErrgroup(r *run) error {
	r.params = "limit=10000"
	r.start()
	err := limited(r.n, func(int) {})
	r.stop()
	return err
}
