package redis

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"strings"

	client "github.com/redis/go-redis/v9"
)

// The scripts. Each touches one key only, so that a Cluster can run it.
var (
	//go:embed lua/order.lua
	orderLua string
	//go:embed lua/publish.lua
	publishLua string
	//go:embed lua/withdraw.lua
	withdrawLua string
	//go:embed lua/beat.lua
	beatLua string
	//go:embed lua/renew.lua
	renewLua string
	//go:embed lua/release.lua
	releaseLua string

	publishScript  = client.NewScript(orderLua + publishLua)
	withdrawScript = client.NewScript(orderLua + withdrawLua)
	beatScript     = client.NewScript(orderLua + beatLua)
	renewScript    = client.NewScript(renewLua)
	releaseScript  = client.NewScript(releaseLua)
)

// call is one run of a script.
type call struct {
	key  string
	args []any
	// reply is what the script returned; err is set instead if it did not run.
	reply []any
	err   error
}

// runAll runs a script for each call, in one round trip to each server. A server
// that does not have the script, since it is new or was restarted, is given it.
func runAll(ctx context.Context, c client.UniversalClient, script *client.Script, calls []*call) {
	run(ctx, c, script.EvalSha, calls)
	var again []*call
	for _, each := range calls {
		if client.HasErrorPrefix(each.err, "NOSCRIPT") {
			again = append(again, each)
		}
	}
	if len(again) > 0 {
		run(ctx, c, script.Eval, again)
	}
}

// evaluate is how a script is asked for: by its digest, or by its text.
type evaluate func(ctx context.Context, c client.Scripter, keys []string, args ...any) *client.Cmd

func run(ctx context.Context, c client.UniversalClient, by evaluate, calls []*call) {
	pipeline := c.Pipeline()
	commands := make([]*client.Cmd, len(calls))
	for i, each := range calls {
		commands[i] = by(ctx, pipeline, []string{each.key}, each.args...)
	}
	_, failed := pipeline.Exec(ctx)
	for i, each := range calls {
		each.reply, each.err = commands[i].Slice()
		switch {
		case commands[i].Err() == nil && commands[i].Val() == nil && failed != nil:
			each.err = failed // no connection: the client does not put it down to the commands
		case each.err == nil && len(each.reply) == 0:
			each.err = errOddReply
		}
	}
}

// errOddReply is of a server that answers what no script of ours returns.
var errOddReply = errors.New("the server answered something else than was asked")

// word is the first part of a reply: what was done.
func (c *call) word() string {
	word, _ := c.reply[0].(string)
	return word
}

// text is another part of a reply, nil if it is not there.
func (c *call) text(i int) []byte {
	if i >= len(c.reply) {
		return nil
	}
	if text, ok := c.reply[i].(string); ok {
		return []byte(text)
	}
	return nil
}

func (c *call) number(i int) (int64, error) {
	if i < len(c.reply) {
		if n, ok := c.reply[i].(int64); ok {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%w (%s)", errOddReply, strings.ToValidUTF8(c.word(), "?"))
}
