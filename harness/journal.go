package harness

import "errors"

// request is one request to the kernel, and what undoes it: nil for nothing.
type request struct {
	do, undo func(*batch)
}

// journal is what was done of a change, so that it can be undone.
type journal struct{ back []func() error }

// did notes how to undo what was done.
func (j *journal) did(undo func() error) { j.back = append(j.back, undo) }

// requests sends requests together, each of which makes one message.
func (j *journal) requests(g *ground, all []request) error {
	if len(all) == 0 {
		return nil
	}
	b := new(batch)
	for _, r := range all {
		r.do(b)
	}
	err := g.rtnl.do(b)
	j.did(func() error {
		var errs []error
		for i := len(all) - 1; i >= 0; i-- {
			if all[i].undo == nil || !b.took(i) {
				continue
			}
			back := new(batch)
			all[i].undo(back)
			errs = append(errs, g.rtnl.do(back))
		}
		return errors.Join(errs...)
	})
	return err
}

// undo undoes it all, last first, as far as it goes.
func (j *journal) undo() error {
	var errs []error
	for i := len(j.back) - 1; i >= 0; i-- {
		errs = append(errs, j.back[i]())
	}
	j.back = nil
	return errors.Join(errs...)
}
