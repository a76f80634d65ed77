package tests

// Which package may import which: a statement of policy, to be changed by a
// decision and not to make a build pass. ARCHITECTURE.md has it, too.

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport lists, for each package, what it may import beside the standard
// library. "C" is cgo. Tests of a package may also import what is in its row.
var mayImport = map[string][]string{
	"gowsgi/cmd/gowsgi": {
		"golang.org/x/sys/unix", "github.com/urfave/cli/v2",
		"github.com/pelletier/go-toml/v2", "github.com/pelletier/go-toml/v2/unstable",
		"github.com/coreos/go-systemd/v22/activation", "github.com/coreos/go-systemd/v22/daemon",
		"gowsgi/cmd/failure", "gowsgi/wsgi/dev", "gowsgi/embed", "gowsgi/embed/channel", "gowsgi/environ", "gowsgi/workers/changes", "gowsgi/workers", "gowsgi/wsgi", "gowsgi/wsgi/files", "gowsgi/wsgi/http1",
		"gowsgi/wsgi/http2", "gowsgi/wsgi/peers", "gowsgi/wsgi/secure",
	},
	"gowsgi/cmd/failure":     {},
	"gowsgi/wsgi/dev":        {"gowsgi/cmd/failure", "gowsgi/environ", "gowsgi/wsgi"},
	"gowsgi/workers/changes": {"github.com/fsnotify/fsnotify", "gowsgi/cmd/failure", "golang.org/x/sys/unix"},
	"gowsgi/workers":         {"golang.org/x/sys/unix", "gowsgi/cmd/failure", "gowsgi/embed/channel", "gowsgi/environ", "gowsgi/wsgi"},
	"gowsgi/wsgi":            {"golang.org/x/sys/unix", "gowsgi/cmd/failure", "gowsgi/environ", "gowsgi/wsgi/files"},
	"gowsgi/wsgi/files":      {"gowsgi/cmd/failure", "gowsgi/environ"},
	"gowsgi/wsgi/http1":      {"gowsgi/cmd/failure", "gowsgi/environ"},
	"gowsgi/wsgi/peers":      {"gowsgi/cmd/failure", "gowsgi/environ"},
	"gowsgi/wsgi/http2": {
		"golang.org/x/net/http2", "golang.org/x/net/http2/hpack",
		"gowsgi/cmd/failure", "gowsgi/environ", "gowsgi/wsgi/http1",
	},
	"gowsgi/wsgi/secure":            {"golang.org/x/sys/unix", "gowsgi/cmd/failure", "gowsgi/environ"},
	"gowsgi/wsgi/secure/securetest": {},
	"gowsgi/environ":                {},
	"gowsgi/embed": {
		"C", "github.com/go-python/cpy3",
		"gowsgi/cmd/failure", "gowsgi/embed/channel",
	},
	"gowsgi/embed/channel":             {"golang.org/x/sys/unix"},
	"gowsgi/embed/channel/channeltest": {"golang.org/x/sys/unix", "gowsgi/embed/channel"},
	"gowsgi/tests":                     {"golang.org/x/sys/unix", "gowsgi/wsgi/secure/securetest"},
}

// testsMayImport is what tests of a package may import in addition.
var testsMayImport = map[string][]string{
	"gowsgi/embed/channel":   {"gowsgi/embed/channel", "gowsgi/embed/channel/channeltest"},
	"gowsgi/workers":         {"gowsgi/embed/channel/channeltest", "gowsgi/workers"},
	"gowsgi/wsgi":            {"gowsgi/wsgi"},
	"gowsgi/wsgi/files":      {"golang.org/x/sys/unix"},
	"gowsgi/wsgi/http1":      {"gowsgi/wsgi/http1", "gowsgi/wsgi/secure/securetest"},
	"gowsgi/wsgi/http2":      {"gowsgi/wsgi/http2"},
	"gowsgi/wsgi/secure":     {"gowsgi/wsgi/secure", "gowsgi/wsgi/secure/securetest"},
	"gowsgi/wsgi/peers":      {"gowsgi/wsgi/peers"},
	"gowsgi/environ":         {"gowsgi/environ"},
	"gowsgi/wsgi/dev":        {"gowsgi/wsgi/dev"},
	"gowsgi/workers/changes": {"gowsgi/workers/changes"},
	// The zygote's tests drive it as the front does.
	"gowsgi/embed": {"golang.org/x/sys/unix", "gowsgi/embed", "gowsgi/environ", "gowsgi/workers", "gowsgi/wsgi"},
}

// A goPackage is what go list tells.
type goPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func TestImports_FollowThePolicy(t *testing.T) {
	listed := map[string]bool{}
	for _, p := range listPackages(t) {
		listed[p.ImportPath] = true
		allowed, known := mayImport[p.ImportPath]
		if !known {
			t.Errorf("%s has no row in mayImport", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if !standard(imported) && !slices.Contains(allowed, imported) {
				t.Errorf("%s imports %s, which the policy does not allow", p.ImportPath, imported)
			}
		}
		allowed = append(slices.Clone(allowed), testsMayImport[p.ImportPath]...)
		for _, imported := range append(p.TestImports, p.XTestImports...) {
			if !standard(imported) && !slices.Contains(allowed, imported) {
				t.Errorf("tests of %s import %s, which the policy does not allow", p.ImportPath, imported)
			}
		}
	}
	for path := range mayImport {
		if !listed[path] {
			t.Errorf("mayImport has a row for %s, which is no package", path)
		}
	}
}

// Only embed speaks C. Said apart from the table, so that a careless new row
// does not undo it.
func TestImports_OnlyEmbedSpeaksC(t *testing.T) {
	for _, p := range listPackages(t) {
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if (imported == "C" || imported == "github.com/go-python/cpy3") && p.ImportPath != "gowsgi/embed" {
				t.Errorf("%s imports %q; only gowsgi/embed may", p.ImportPath, imported)
			}
		}
	}
}

// standard: the first element of every other import path has a dot, or is ours.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return path != "C" && first != "gowsgi" && !strings.Contains(first, ".")
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = repository
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=1")
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(text))); ; {
		var p goPackage
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		packages = append(packages, p)
	}
}
