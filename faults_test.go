package daybook_test

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// faultsFile lists the faults of the reference system, and what proves that
// none of them is here.
const faultsFile = "docs/FAULTS.md"

// lastFault is the number of the last.
const lastFault = 26

// testFile is one file of tests.
type testFile struct {
	// path has slashes, and begins at the module's root.
	path string
	ast  *ast.File
}

func (f testFile) folder() string { return path.Dir(f.path) }

// tests names the tests of the file.
func (f testFile) tests() []string {
	var names []string
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
			names = append(names, fn.Name.Name)
		}
	}
	return names
}

// testFiles reads every file of tests, whether or not the go command would.
func testFiles(t *testing.T) []testFile {
	t.Helper()
	var files []testFile
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != "." && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".")) {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), p, nil, 0)
		files = append(files, testFile{filepath.ToSlash(p), file})
		return err
	})
	if err != nil || len(files) < 50 {
		t.Fatalf("%d files of tests, %v", len(files), err)
	}
	return files
}

// faultRow is a row of the table: the fault's number, and "package TestName" of
// each test.
type faultRow struct {
	number int
	proofs []string
}

var (
	rowOfFault  = regexp.MustCompile(`^\| (\d+) \| [^|]+ \| [^|]+ \| ([^|]+) \|$`)
	proofOfRow  = regexp.MustCompile("^`([a-z0-9/.-]+)`: ((?:`Test\\w+`(?:, )?)+)$")
	nameOfProof = regexp.MustCompile("`(Test\\w+)`")
)

// faultRows reads the table. Its last column names packages, each with tests:
// `intake`: `TestA`, `TestB`; `api`: `TestC`.
func faultRows(t *testing.T, text string) []faultRow {
	t.Helper()
	var rows []faultRow
	for line := range strings.Lines(text) {
		cells := rowOfFault.FindStringSubmatch(strings.TrimSpace(line))
		if cells == nil {
			continue
		}
		number, err := strconv.Atoi(cells[1])
		if err != nil {
			t.Fatal(err)
		}
		row := faultRow{number: number}
		for part := range strings.SplitSeq(cells[2], "; ") {
			proof := proofOfRow.FindStringSubmatch(part)
			if proof == nil {
				t.Errorf("fault %d: %q names no package with its tests", number, part)
				continue
			}
			for _, name := range nameOfProof.FindAllStringSubmatch(proof[2], -1) {
				row.proofs = append(row.proofs, proof[1]+" "+name[1])
			}
		}
		rows = append(rows, row)
	}
	return rows
}

var numberOfTest = regexp.MustCompile(`^TestFault(\d+)`)

// TestEveryFaultNamesItsTests holds the table and the source together: every
// fault is there, every test that it names exists, every fault has one that is
// named after it, and every test that is named after a fault is in its row.
func TestEveryFaultNamesItsTests(t *testing.T) {
	text, err := os.ReadFile(faultsFile)
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, f := range testFiles(t) {
		for _, name := range f.tests() {
			there[f.folder()+" "+name] = true
		}
	}
	named := map[string]int{}
	rows := faultRows(t, string(text))
	for i, row := range rows {
		if row.number != i+1 {
			t.Fatalf("row %d is of fault %d", i+1, row.number)
		}
		own := false
		for _, proof := range row.proofs {
			if !there[proof] {
				t.Errorf("fault %d: there is no test %q", row.number, proof)
			}
			if _, name, _ := strings.Cut(proof, " "); strings.HasPrefix(name, fmt.Sprintf("TestFault%02d", row.number)) {
				own = true
				named[proof] = row.number
			}
		}
		if !own {
			t.Errorf("fault %d has no test that is named after it", row.number)
		}
	}
	if len(rows) != lastFault {
		t.Errorf("%d faults are listed, want %d", len(rows), lastFault)
	}
	for test := range there {
		_, name, _ := strings.Cut(test, " ")
		number := numberOfTest.FindStringSubmatch(name)
		if number != nil && (len(number[1]) != 2 || fmt.Sprintf("%02d", named[test]) != number[1]) {
			t.Errorf("%q is not in the row of its fault", test)
		}
	}
}

// TestFault26TestsRunAndMockNothing: every file of tests is loaded on some
// system that is supported, none skips or imitates, and whoever works on stored
// events is tested on a real store.
func TestFault26TestsRunAndMockNothing(t *testing.T) {
	store, model := module+"/eventstore/sqlite", module+"/projections/sqlite"
	opened := store + "/sqlitetest" // which opens one
	wanted := map[string][]string{"intake": {opened}, "intake/posting": {opened}, "decisions": {opened}, "history": {opened},
		"projections": {store, model}, "api": {store, model}, "projections/redis": {module + "/projections/redis/redistest"}}
	imported := map[string]bool{}
	for _, f := range testFiles(t) {
		if !loaded(t, f.path) {
			t.Errorf("%s is loaded on no system", f.path)
		}
		for _, spec := range f.ast.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			imported[f.folder()+" "+name] = true
			if strings.Contains(name, "mock") || strings.Contains(name, "monkey") {
				t.Errorf("%s imports %s", f.path, name)
			}
		}
		for _, call := range skips(f.ast) {
			t.Errorf("%s calls %s", f.path, call)
		}
	}
	for folder, packages := range wanted {
		for _, name := range packages {
			if !imported[folder+" "+name] {
				t.Errorf("no test of %s uses %s", folder, name)
			}
		}
	}
}

// loaded reports whether the go command takes a file on a system that we build for.
func loaded(t *testing.T, name string) bool {
	t.Helper()
	for _, system := range []string{"linux", "darwin", "windows"} {
		context := build.Default
		context.GOOS, context.CgoEnabled = system, true
		taken, err := context.MatchFile(filepath.Dir(name), filepath.Base(name))
		if err != nil {
			t.Fatal(err)
		}
		if taken {
			return true
		}
	}
	return false
}

// skips lists the calls by which a test leaves itself out.
func skips(file *ast.File) []string {
	var calls []string
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, s.Sel.Name) {
			calls = append(calls, s.Sel.Name)
		}
		return true
	})
	return calls
}
