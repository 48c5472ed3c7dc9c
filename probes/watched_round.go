package probes

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/nstest/nstest/probes/internal/watch"
	"github.com/nstest/nstest/probes/internal/wire"
)

// echoesOf are the tasks that rounds can ask, and the others.
func echoesOf(tasks []*task) (echoes, others []*task) {
	for _, t := range tasks {
		if t.probe.kind.together != nil && t.probe.source == (source{}) && t.frame == nil && t.pace == nil {
			echoes = append(echoes, t)
		} else {
			others = append(others, t)
		}
	}
	return echoes, others
}

// watchEchoes asks in rounds, so many requests at once: they are sent, then all that the
// kernels told of them is read, and each is concluded. Where nothing has ended one by
// then, it waits by itself, and the next begin.
func watchEchoes(w *watch.Watch, tasks []*task, most int) error {
	all := watchedRounds{watch: w}
	defer all.close()
	for batch := range slices.Chunk(tasks, most) {
		if err := all.ask(batch); err != nil {
			all.fail(err)
			break
		}
	}
	all.waiting.Wait()
	return all.err
}

// watchedRounds are rounds under one watch.
type watchedRounds struct {
	watch   *watch.Watch
	waiting sync.WaitGroup // those that wait by themselves
	mu      sync.Mutex
	err     error    // the first
	opened  []*round // to be closed when nobody waits
}

func (w *watchedRounds) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = firstError(w.err, err)
}

func (w *watchedRounds) close() {
	w.waiting.Wait()
	closeRounds(w.opened)
}

// ask asks a batch, and concludes what has ended.
func (w *watchedRounds) ask(batch []*task) error {
	flows := make([]wire.Flow, len(batch))
	for i, t := range batch {
		flows[i] = t.flow(w.watch)
	}
	trails, err := w.watch.FollowAll(flows...)
	if err != nil {
		return err
	}
	for i, t := range batch {
		t.watched = &watched{watch: w.watch, trail: trails[i], confirms: true}
	}
	rounds := rounds(batch)
	w.opened = append(w.opened, rounds...)
	if err := openRounds(rounds); err != nil {
		w.watch.Done(trails...)
		return err
	}
	inParallel(rounds, func(r *round) {
		if err := r.sendAll(); err != nil {
			w.fail(err)
		}
		w.watch.DrainAside() // while others send
	})
	w.conclude(rounds)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// inParallel calls f for each, on as many threads as run at once.
func inParallel[T any](all []T, f func(T)) {
	next := make(chan T, len(all))
	for _, one := range all {
		next <- one
	}
	close(next)
	var running sync.WaitGroup
	for range min(len(all), runtime.GOMAXPROCS(0)) {
		running.Go(func() {
			for one := range next {
				f(one)
			}
		})
	}
	running.Wait()
}

// sendAll sends all requests, and reads between them what has come. A task keeps the error
// of its own.
func (r *round) sendAll() error {
	r.unsent, r.left = len(r.tasks), len(r.tasks)
	for i, t := range r.tasks {
		t.unsent = r.send(uint16(i), t)
		if err := r.read(); err != nil {
			return t.failure(err)
		}
	}
	return r.read()
}

// conclude concludes the tasks that have ended, and leaves the others to wait.
func (w *watchedRounds) conclude(rounds []*round) {
	var ended, open []*task
	var trails []*watch.Trail
	of := map[*task]*round{}
	for _, r := range rounds {
		for _, t := range r.tasks {
			if t.result.Outcome == 0 && t.unsent == nil {
				open, trails, of[t] = append(open, t), append(trails, t.watched.trail), r
			} else {
				ended = append(ended, t)
			}
		}
	}
	inParallel(trails, func(t *watch.Trail) { w.watch.Account(t) })
	over := w.watch.OverAll(trails)
	waits := map[*round][]*task{}
	for i, t := range open {
		if !over[i] {
			waits[of[t]] = append(waits[of[t]], t)
			continue
		}
		t.watched.over, t.unsent = true, t.silence()
		ended = append(ended, t)
	}
	for r, tasks := range waits {
		w.wait(r, tasks)
	}
	inParallel(ended, func(t *task) { w.finish(t, t.unsent) })
}

// finish concludes a task.
func (w *watchedRounds) finish(t *task, err error) {
	if err := t.conclude(err); err != nil {
		w.fail(t.failure(err))
	}
	w.watch.Done(t.watched.trail)
}

// wait has each of a round's tasks wait by itself, until its end is seen or its time is
// over, while one goroutine waits for the socket.
func (w *watchedRounds) wait(r *round, tasks []*task) {
	var mu sync.Mutex // held while the socket is read, and who waits is changed
	var failure error
	read := func() error {
		mu.Lock()
		defer mu.Unlock()
		failure = firstError(failure, r.read())
		return failure
	}
	var last time.Time
	r.left, r.waiting = len(tasks), map[*task]chan struct{}{}
	heard := make([]chan struct{}, len(tasks))
	for i, t := range tasks {
		heard[i] = make(chan struct{})
		r.waiting[t] = heard[i]
		if t.deadline.After(last) {
			last = t.deadline
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for i, t := range tasks {
		running.Go(func() {
			done, err := t.waitFor(heard[i], read)
			mu.Lock()
			if !done && err == nil && r.waiting[t] != nil {
				r.left--
				delete(r.waiting, t)
				err = t.silence()
			}
			mu.Unlock()
			w.finish(t, err)
		})
	}
	w.waiting.Go(func() {
		running.Wait()
		cancel()
	})
	w.waiting.Go(func() {
		_, err := r.echoes.wait(ctx, last, false, func() bool { return read() != nil })
		if err != nil {
			w.fail(err)
		}
	})
}

// waitFor waits until the task has an outcome, which closes heard, its end is seen, or its
// time is over. read reads the socket.
func (t *task) waitFor(heard <-chan struct{}, read func() error) (done bool, err error) {
	isHeard := func() bool {
		select {
		case <-heard:
			return true
		default:
			return false
		}
	}
	try := func() bool {
		err := read()
		return err != nil || isHeard()
	}
	done, err = t.waitUnder(try, func() bool { return !isHeard() }, func(ctx context.Context, until time.Time) (bool, error) {
		return untilHeard(ctx, until, heard) || try(), nil
	})
	return done, firstError(err, read())
}
