package daybook_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/daybookhq/daybook"

// What the rules below speak of. A pattern that ends in /... means the package
// and everything under it; one that begins with ./ is a package of ours.
var (
	stripe   = []string{"github.com/stripe/stripe-go/..."}
	drivers  = []string{"modernc.org/sqlite/...", "database/sql", "github.com/EventStore/...", "github.com/redis/..."}
	adapters = []string{"./eventstore/sqlite/...", "./eventstore/esdb/...", "./projections/sqlite/...", "./projections/redis/..."}
	loggers  = []string{"github.com/sirupsen/logrus/...", "log/..."}
	outside  = []string{"context", "os/...", "io/...", "net/...", "log/...", "sync/...", "syscall/...", "math/rand/...", "crypto/rand", "runtime/...", "unsafe"}
)

// room is a row of the table in docs/ARCHITECTURE.md.
type room struct {
	name string
	// owns are the packages of the room.
	owns []string
	// never are packages that must not be reached from it, even by detours.
	never []string
	// neverItself are packages that it must not import, though what it uses may.
	neverItself []string
	// onlyStandard says that it imports nothing but the standard library and,
	// of ours, what is in its own room.
	onlyStandard bool
	// noClock says that it never asks what time it is.
	noClock bool
	why     string
}

var rooms = []room{
	{name: "aggregate", owns: []string{"./aggregate"}, onlyStandard: true, noClock: true, neverItself: outside,
		why: "the domain is a pure function of facts, catalog and now"},
	{name: "eventstore", owns: []string{"./eventstore"}, never: join([]string{"./aggregate/..."}, drivers, adapters, stripe, loggers), noClock: true,
		why: "the contract knows bytes: no billing, no driver"},
	{name: "eventstore/eventstoretest", owns: []string{"./eventstore/eventstoretest"}, never: join([]string{"./aggregate/..."}, drivers, adapters),
		why: "a kit that knew a store would be bent to it"},
	{name: "eventstore/migration", owns: []string{"./eventstore/migration"}, never: join([]string{"./aggregate/..."}, drivers, adapters, stripe, loggers),
		why: "what copies any store into any other knows bytes, too"},
	{name: "eventstore/sqlite", owns: []string{"./eventstore/sqlite", "./eventstore/sqlite/sqlitetest"},
		never: join(stripe, []string{"./aggregate/...", "./intake/...", "./projections/...", "./api/...", "./cmd/..."}),
		why:   "an adapter points inward, to the contract alone"},
	{name: "eventstore/esdb", owns: []string{"./eventstore/esdb", "./eventstore/esdb/esdbtest"},
		never: join(stripe, loggers[:1], []string{"./aggregate/...", "./intake/...", "./projections/...", "./api/...", "./cmd/...", "./eventstore/sqlite/..."}),
		why:   "an adapter points inward, to the contract alone"},
	{name: "intake", owns: []string{"./intake"}, never: join(drivers, adapters, []string{"./projections/...", "./api/...", "./cmd/..."}),
		why: "Stripe's vocabulary is neither HTTP nor a read model"},
	{name: "intake/stripeapi", owns: []string{"./intake/stripeapi", "./intake/stripeapi/stripetest"},
		never: join(drivers, adapters, loggers[:1], []string{"./aggregate/...", "./eventstore/...", "./intake", "./intake/posting/...", "./projections/...", "./api/...", "./cmd/..."}),
		why:   "asking Stripe knows nothing of what is made of the answer"},
	{name: "intake/reconcile", owns: []string{"./intake/reconcile"},
		never: join(drivers, adapters, []string{"./intake/posting/...", "./projections/...", "./api/...", "./cmd/..."}),
		why:   "what Stripe answers goes into the journal, like everything else"},
	{name: "intake/posting", owns: []string{"./intake/posting"}, never: join(drivers, adapters, []string{"./projections/...", "./api/...", "./cmd/..."}),
		why: "posting writes history, whichever store keeps it"},
	{name: "checkout", owns: []string{"./checkout"}, never: join(drivers, adapters, []string{"./intake", "./intake/posting/...", "./intake/reconcile/...", "./api/...", "./cmd/..."}),
		why: "what may be sold to whom is neither HTTP nor Stripe's vocabulary, and writes no history"},
	{name: "decisions", owns: []string{"./decisions"}, never: join(drivers, adapters, stripe, loggers, []string{"./intake/...", "./projections/...", "./api/...", "./cmd/..."}),
		why: "what operators decide is neither Stripe's nor HTTP's"},
	{name: "recent", owns: []string{"./recent"}, never: join(drivers, adapters, stripe, loggers, []string{"./intake/...", "./projections/...", "./api/...", "./cmd/..."}), noClock: true,
		why: "posting and the projections share it, and know nothing of each other"},
	{name: "history", owns: []string{"./history"}, never: join(drivers, adapters, []string{"./api/...", "./cmd/..."}), neverItself: loggers,
		why: "the record is read back alike for HTTP and the command line"},
	{name: "projections", owns: []string{"./projections"}, never: join(drivers, adapters, stripe, []string{"./intake/...", "./api/...", "./cmd/..."}),
		why: "a read model is folded from the domain streams alone"},
	{name: "projections/sqlite", owns: []string{"./projections/sqlite"}, never: join(stripe, []string{"./eventstore/sqlite/...", "./eventstore/esdb/...", "./intake/...", "./api/...", "./cmd/..."}),
		why: "adapters never import each other"},
	{name: "projections/published", owns: []string{"./projections/published"}, noClock: true, neverItself: outside,
		never: join(drivers, adapters, stripe, loggers[:1], []string{"./eventstore/...", "./intake/...", "./api/...", "./cmd/..."}),
		why:   "whoever has a value checks it, without a Redis and without the rest of us"},
	{name: "projections/redis", owns: []string{"./projections/redis", "./projections/redis/redistest"},
		never: join(stripe, []string{"./eventstore/sqlite/...", "./eventstore/esdb/...", "./projections/sqlite/...", "./intake/...", "./decisions/...", "./api/...", "./cmd/..."}),
		why:   "adapters never import each other"},
	{name: "api", owns: []string{"./api", "./api/openapitest"}, never: join(drivers, adapters, []string{"./cmd/..."}),
		why: "routes answer from interfaces; main decides what is behind them"},
	{name: "api/client", owns: []string{"./api/client"},
		never: join(drivers, adapters, stripe, loggers[:1], []string{"./api", "./projections", "./history", "./decisions/...", "./eventstore/...", "./intake/...", "./cmd/..."}),
		why:   "users' programs import it, and get no more of us with it than they need"},
	{name: "deploy", owns: []string{"./deploy"}, onlyStandard: true,
		why: "it holds what Daybook is deployed with, and tests of it"},
	{name: "cmd", owns: []string{"./cmd/..."},
		why: "wiring may know everybody"},
}

// exclusive are rules that bind everybody but a few.
var exclusive = []struct {
	what    []string
	allowed []string
	why     string
}{
	{what: stripe, allowed: []string{"./intake/...", "./cmd/..."},
		why: "Stripe lives in one place"},
	{what: []string{"github.com/gorilla/mux"}, allowed: []string{"./api", "./cmd/daybook-bench"},
		why: "HTTP lives in one place; the benchmark has a frozen handler of its own"},
	{what: []string{"github.com/prometheus/..."}, allowed: []string{"./api", "./projections/redis/redistest"},
		why: "metrics are an answer to HTTP; the other rooms tell what they know in types of their own; toxiproxy wants a registry"},
	{what: []string{"go.opentelemetry.io/..."}, allowed: []string{"./cmd/daybook/tracing"},
		why: "traces are told from the rooms' own accounts of their work; the rooms know nothing of them"},
	{what: []string{"modernc.org/sqlite/...", "database/sql"}, allowed: []string{"./eventstore/sqlite", "./projections/sqlite"},
		why: "a driver belongs to its adapter"},
	{what: []string{"github.com/EventStore/..."}, allowed: []string{"./eventstore/esdb", "./eventstore/esdb/esdbtest"},
		why: "a driver belongs to its adapter"},
	{what: []string{"github.com/redis/..."}, allowed: []string{"./projections/redis", "./projections/redis/redistest"},
		why: "a driver belongs to its adapter"},
	{what: []string{"./cmd/daybook", "./cmd/daybook-bench"}, allowed: nil,
		why: "a command is imported by nobody"},
	{what: []string{"./cmd/..."}, allowed: []string{"./cmd/..."},
		why: "wiring is imported by nobody but wiring"},
}

func join(lists ...[]string) []string { return slices.Concat(lists...) }

// pkg is what go list tells of a package, tests left aside.
type pkg struct {
	ImportPath string
	Dir        string
	Standard   bool
	Imports    []string
	Deps       []string
	GoFiles    []string
}

func TestRoomsImportOnlyWhatTheyMay(t *testing.T) {
	packages, standard := listPackages(t)
	for _, violation := range violations(packages, standard) {
		t.Error(violation)
	}
	for _, p := range packages {
		if r, found := roomOf(p.ImportPath); found && r.noClock {
			for _, call := range clockCalls(t, p) {
				t.Errorf("%s: %s, but the room %s takes its time from the caller: %s", p.ImportPath, call, r.name, r.why)
			}
		}
	}
}

// listPackages returns our packages, and which imports are the standard library's.
func listPackages(t *testing.T) (ours []pkg, standard map[string]bool) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Dir,Standard,Imports,Deps,GoFiles", "./...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	standard = map[string]bool{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		standard[p.ImportPath] = p.Standard
		if strings.HasPrefix(p.ImportPath, module+"/") {
			ours = append(ours, p)
		}
	}
	if len(ours) < 5 {
		t.Fatalf("go list shows only %d packages of ours", len(ours))
	}
	return ours, standard
}

// violations lists every import that breaks a rule, and every package without
// a room.
func violations(packages []pkg, standard map[string]bool) []string {
	var found []string
	for _, p := range packages {
		r, ok := roomOf(p.ImportPath)
		if !ok {
			found = append(found, p.ImportPath+" has no room: add it to the table, here and in docs/ARCHITECTURE.md")
			continue
		}
		complain := func(imported, how, why string) {
			found = append(found, fmt.Sprintf("%s %s %s, which it must not: %s", p.ImportPath, how, imported, why))
		}
		for _, dep := range p.Deps {
			if matches(dep, r.never) {
				complain(dep, "reaches", r.why)
			}
		}
		for _, imported := range p.Imports {
			if matches(imported, r.neverItself) || r.onlyStandard && !standard[imported] {
				complain(imported, "imports", r.why)
			}
			for _, rule := range exclusive {
				if matches(imported, rule.what) && !matches(p.ImportPath, rule.allowed) {
					complain(imported, "imports", rule.why)
				}
			}
		}
	}
	return found
}

func roomOf(path string) (room, bool) {
	for _, r := range rooms {
		if matches(path, r.owns) {
			return r, true
		}
	}
	return room{}, false
}

// matches reports whether a package is one of those that the patterns mean.
func matches(path string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if inner, ours := strings.CutPrefix(pattern, "./"); ours {
			pattern = module + "/" + inner
		}
		if root, tree := strings.CutSuffix(pattern, "/..."); tree {
			return path == root || strings.HasPrefix(path, root+"/")
		}
		return path == pattern
	})
}

// clockCalls lists where a package's code asks the clock or waits for it.
func clockCalls(t *testing.T, p pkg) []string {
	t.Helper()
	var calls []string
	for _, name := range p.GoFiles {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		calls = append(calls, clockCallsIn(fset, file)...)
	}
	return calls
}

func clockCallsIn(fset *token.FileSet, file *ast.File) []string {
	clock := []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker"}
	as := importedAs(file, "time")
	var calls []string
	ast.Inspect(file, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := selector.X.(*ast.Ident); ok && as != "" && x.Name == as && x.Obj == nil && slices.Contains(clock, selector.Sel.Name) {
			at := fset.Position(selector.Pos())
			calls = append(calls, fmt.Sprintf("%s:%d uses time.%s", filepath.Base(at.Filename), at.Line, selector.Sel.Name))
		}
		return true
	})
	return calls
}

// importedAs is the name under which a file knows a package, empty if it does not.
func importedAs(file *ast.File, path string) string {
	for _, spec := range file.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil && p == path {
			if spec.Name != nil {
				return spec.Name.Name
			}
			return path
		}
	}
	return ""
}

// TestTheCheckerFinds gives the checker packages that break each kind of rule.
func TestTheCheckerFinds(t *testing.T) {
	standard := map[string]bool{"time": true, "os": true, "net/http": true}
	ours := func(path string) string { return module + "/" + path }
	cases := map[string]struct {
		p    pkg
		want string
	}{
		"a room that does not exist":  {pkg{ImportPath: ours("helpers")}, "has no room"},
		"I/O in the domain":           {pkg{ImportPath: ours("aggregate"), Imports: []string{"net/http"}}, "imports net/http"},
		"a library in the domain":     {pkg{ImportPath: ours("aggregate"), Imports: []string{"github.com/google/uuid"}}, "imports github.com/google/uuid"},
		"another room in the domain":  {pkg{ImportPath: ours("aggregate"), Imports: []string{ours("eventstore")}}, "imports " + ours("eventstore")},
		"a driver by a detour":        {pkg{ImportPath: ours("api"), Deps: []string{"modernc.org/sqlite/lib"}}, "reaches modernc.org/sqlite/lib"},
		"adapters that meet":          {pkg{ImportPath: ours("projections/sqlite"), Deps: []string{ours("eventstore/sqlite")}}, "reaches " + ours("eventstore/sqlite")},
		"Stripe in the read model":    {pkg{ImportPath: ours("projections"), Imports: []string{"github.com/stripe/stripe-go/v76"}}, "Stripe lives in one place"},
		"a driver beside its adapter": {pkg{ImportPath: ours("projections/published"), Imports: []string{"github.com/redis/go-redis/v9"}}, "belongs to its adapter"},
		"a command imported":          {pkg{ImportPath: ours("api"), Imports: []string{ours("cmd/daybook")}}, "imported by nobody"},
		"a driver in the wiring":      {pkg{ImportPath: ours("cmd/daybook"), Imports: []string{"database/sql"}}, "belongs to its adapter"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			found := strings.Join(violations([]pkg{c.p}, standard), "\n")
			if !strings.Contains(found, c.want) {
				t.Errorf("found %q: want %q", found, c.want)
			}
		})
	}
	good := []pkg{
		{ImportPath: ours("aggregate"), Imports: []string{"time"}, Deps: []string{"os"}},
		{ImportPath: ours("intake"), Imports: []string{"github.com/stripe/stripe-go/v76/webhook", ours("aggregate")}},
		{ImportPath: ours("cmd/daybook"), Imports: []string{ours("cmd/daybook/config"), ours("eventstore/sqlite")}},
	}
	if found := violations(good, standard); len(found) > 0 {
		t.Errorf("found fault where there is none: %q", found)
	}
}

func TestTheClockCheckerFinds(t *testing.T) {
	source := "package p\nimport clock \"time\"\nfunc f(time struct{ Now int }) (int, clock.Duration) {\n\treturn time.Now, clock.Since(clock.Time{})\n}\n"
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	if calls := clockCallsIn(fset, file); !slices.Equal(calls, []string{"p.go:4 uses time.Since"}) {
		t.Errorf("found %q", calls)
	}
}
