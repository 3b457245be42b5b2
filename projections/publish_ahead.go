package projections

import "context"

// pageAhead is a page of the model's entitlements that one goroutine reads. It
// may be looked at once done is closed.
type pageAhead struct {
	after string
	limit int
	done  chan struct{}

	rows     []EntitlementRow
	standing Standing // what could be told of the model before
	err      error
}

// read begins to read the page behind an account.
func (w *publishing) read(ctx context.Context, after string, limit int) *pageAhead {
	a := &pageAhead{after: after, limit: limit, done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.standing = w.opts.Runner.Standing()
		a.rows, a.err = w.opts.Model.EntitlementDocs(ctx, after, limit)
	}()
	return a
}

// page returns a page of a span, the one that was read ahead if it is that.
func (w *publishing) page(ctx context.Context, i int) *pageAhead {
	a, after, limit := w.ahead, w.renewals.after(i), w.renewals.page(i)
	if a == nil || a.after != after || a.limit != limit {
		w.dropAhead()
		a = w.read(ctx, after, limit)
	}
	w.ahead = nil
	<-a.done
	return a
}

// dropAhead gives up what was read ahead. That must be done before an entry is
// withdrawn: it would come back with the page, and nothing that is left in the
// outlet would tell that it is older. One that is replaced tells.
func (w *publishing) dropAhead() {
	if w.ahead != nil {
		<-w.ahead.done
		w.ahead = nil
	}
}
