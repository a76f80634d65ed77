package embed_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"strings"
	"testing"

	"gowsgi/embed"
)

// Extension modules are not linked with an interpreter: they find it in the
// program that loads them. Whatever CPython's own program has for them must
// therefore be here too, though nothing of ours calls it.
func TestInterpreter_HasAllThatExtensionModulesCall(t *testing.T) {
	const library = `import os, sysconfig as s
print(os.path.join(s.get_config_var("LIBDIR"), s.get_config_var("INSTSONAME") or ""))`
	printed, err := exec.Command(embed.Interpreter, "-c", library).Output()
	if err != nil {
		t.Fatalf("%s -c %q: %v", embed.Interpreter, library, err)
	}
	wanted := exported(t, embed.Interpreter)
	if shared := strings.TrimSpace(string(printed)); strings.Contains(shared, ".so") {
		wanted = append(wanted, exported(t, shared)...)
	}
	if len(wanted) < 500 {
		t.Fatalf("%s exports %d names, want CPython's interface", embed.Interpreter, len(wanted))
	}
	found := map[string]bool{}
	for _, name := range reachable(t) {
		found[name] = true
	}
	for _, name := range wanted {
		if !found[name] && !ofNoModule[name] {
			t.Errorf("%s is not to be found by extension modules, which %s offers it", name, embed.Interpreter)
		}
	}
}

// ofNoModule are parts of CPython that nothing in it uses and no module can need.
var ofNoModule = map[string]bool{
	"Py_FrozenMain":   true, // the main function of programs that freeze.py makes
	"PyNode_ListTree": true, // 3.9: prints the old parser's tree
}

// reachable lists the names of CPython in this program and, where it was linked
// with LIBPYTHON=shared, in the library it has loaded.
func reachable(t *testing.T) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	names := exported(t, self)
	for _, field := range strings.Fields(string(maps)) {
		if strings.Contains(field, "/libpython3") {
			return append(names, exported(t, field)...)
		}
	}
	return names
}

// exported lists CPython's names among those that a program or library has for others.
func exported(t *testing.T, path string) []string {
	t.Helper()
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	symbols, err := file.DynamicSymbols()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var names []string
	for _, symbol := range symbols {
		if symbol.Section != elf.SHN_UNDEF && (strings.HasPrefix(symbol.Name, "Py") || strings.HasPrefix(symbol.Name, "_Py")) {
			names = append(names, symbol.Name)
		}
	}
	return names
}
