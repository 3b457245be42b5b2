package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// progress shows how far long work is: a bar on a terminal, a line every few
// seconds otherwise, both on standard error.
type progress struct {
	bar  *progressbar.ProgressBar
	cmd  *cobra.Command
	what string
	last time.Time
}

// linesEvery is how often progress is told where there is no terminal.
const linesEvery = 5 * time.Second

// newProgress begins; a total of 0 means that it is not known.
func newProgress(cmd *cobra.Command, what string, total int64) *progress {
	p := &progress{cmd: cmd, what: what, last: systemClock()}
	if file, is := cmd.ErrOrStderr().(*os.File); is && term.IsTerminal(int(file.Fd())) {
		if total == 0 {
			total = -1
		}
		p.bar = progressbar.NewOptions64(total, progressbar.OptionSetDescription(what),
			progressbar.OptionSetWriter(file), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
			progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish())
	}
	return p
}

// tell says that done of total is done; a total of 0 is not known.
func (p *progress) tell(done, total int64) {
	if p.bar != nil {
		if total > 0 {
			p.bar.ChangeMax64(total)
		}
		_ = p.bar.Set64(done)
		return
	}
	if now := systemClock(); now.Sub(p.last) >= linesEvery {
		p.last = now
		if total > 0 {
			p.cmd.PrintErrf("%s: %d of %d\n", p.what, done, total)
		} else {
			p.cmd.PrintErrf("%s: %d\n", p.what, done)
		}
	}
}

// ignore is a tell for work whose progress is known otherwise.
func (p *progress) ignore(_, _ int64) {}

// reading tells of progress by what is read.
func (p *progress) reading(r io.Reader) io.Reader {
	if p.bar == nil {
		return r
	}
	reader := progressbar.NewReader(r, p.bar)
	return &reader
}

func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
