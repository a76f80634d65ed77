package main

// Who uses codes: the source of the whole program is looked through.

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gowsgi/cmd/failure"
)

// sourceFiles parses the Go files of the program, tests left aside.
func sourceFiles(t *testing.T) (*token.FileSet, map[string]*ast.File) {
	t.Helper()
	set, parsed := token.NewFileSet(), map[string]*ast.File{}
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name == "tests" || name == "bin" || name == "build" || len(name) > 2 && name[0] == '.'):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		parsed[path], err = parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		return err
	})
	if err != nil || len(parsed) < 50 {
		t.Fatalf("parsed %d files, %v, want the whole program", len(parsed), err)
	}
	return set, parsed
}

// Every record that tells of a failure has its code: as the first attribute, or in
// a slice of attributes that is made in the same function.
func TestLogging_ErrorsAndWarningsHaveCodes(t *testing.T) {
	set, parsed := sourceFiles(t)
	seen := 0
	for _, file := range parsed {
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(function, func(node ast.Node) bool {
				call, ok := node.(*ast.CallExpr)
				if !ok || !logsFailure(call) {
					return true
				}
				seen++
				if !hasCode(call, function) {
					t.Errorf("%v: a failure is logged without failure.Key and a code", set.Position(call.Pos()))
				}
				return true
			})
		}
	}
	if seen < 40 {
		t.Errorf("%d records of failures were found, want all of them (40 and more)", seen)
	}
}

// logsFailure: a call of Error, Warn, ErrorContext … with a message, on a logger.
func logsFailure(call *ast.CallExpr) bool {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 {
		return false // an error's own Error has no arguments
	}
	return slices.Contains([]string{"Error", "Warn", "ErrorContext", "WarnContext"}, method.Sel.Name)
}

func hasCode(call *ast.CallExpr, within *ast.FuncDecl) bool {
	if len(call.Args) > 1 && isKey(call.Args[1]) {
		return true
	}
	if call.Ellipsis == token.NoPos {
		return false
	}
	made := false
	ast.Inspect(within, func(node ast.Node) bool {
		slice, ok := node.(*ast.CompositeLit)
		made = made || ok && len(slice.Elts) > 1 && isKey(slice.Elts[0])
		return true
	})
	return made
}

func isKey(x ast.Expr) bool {
	name, ok := x.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	of, ok := name.X.(*ast.Ident)
	return ok && of.Name == "failure" && name.Sel.Name == "Key"
}

// Every code of the catalogue is that of something: one that nothing has would be
// advice on what cannot happen.
func TestCatalogue_HasNoCodeThatNothingHas(t *testing.T) {
	_, parsed := sourceFiles(t)
	used := map[string]bool{}
	for _, file := range parsed {
		ast.Inspect(file, func(node ast.Node) bool {
			if name, ok := node.(*ast.SelectorExpr); ok {
				if of, ok := name.X.(*ast.Ident); ok && of.Name == "failure" {
					used[name.Sel.Name] = true
				}
			}
			return true
		})
	}
	elsewhere := ""
	for _, path := range []string{"../../embed/host.py", "../../embed/causes.py", "../../embed/dev.py", "../../embed/worker.c", "../../embed/channel.c"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		elsewhere += string(text)
	}
	for name, code := range constants(t, parsed) {
		if !used[name] && !strings.Contains(elsewhere, code.String()) {
			t.Errorf("nothing has the code %v (%s)", code, name)
		}
	}
}

// Python's names for codes are Go's in capital letters.
func TestCatalogue_IsWhatPythonTakesItFor(t *testing.T) {
	_, parsed := sourceFiles(t)
	want := map[string]failure.Code{}
	for name, code := range constants(t, parsed) {
		want[inCapitals(name)] = code
	}
	for _, path := range []string{"../../embed/host.py", "../../embed/causes.py"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`(?m)^([A-Z_]+) = "GW(\d+)"`).FindAllStringSubmatch(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s has no codes", path)
		}
		for _, row := range found {
			if code, _ := failure.Parse(row[2]); want[row[1]] != code {
				t.Errorf("%s: %s = GW%s, want %v", path, row[1], row[2], want[row[1]])
			}
		}
	}
}

// inCapitals gives MODULE_ABSENT for ModuleAbsent.
func inCapitals(name string) string {
	return strings.ToUpper(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(name, "${1}_$2"))
}

// constants are the catalogue's, by name.
func constants(t *testing.T, parsed map[string]*ast.File) map[string]failure.Code {
	t.Helper()
	codes := map[string]failure.Code{}
	for path, file := range parsed {
		if filepath.Base(filepath.Dir(path)) != "failure" {
			continue
		}
		ast.Inspect(file, func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			kind, isCode := spec.Type.(*ast.Ident)
			number, isNumber := spec.Values[0].(*ast.BasicLit)
			if isCode && isNumber && kind.Name == "Code" {
				code, ok := failure.Parse(number.Value)
				if !ok {
					t.Errorf("%s = %s has no page", spec.Names[0].Name, number.Value)
				}
				codes[spec.Names[0].Name] = code
			}
			return true
		})
	}
	return codes
}
