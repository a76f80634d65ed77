package tests

// HTTP/2 as a tool sees it that was written to find servers at fault.
// https://github.com/summerwind/h2spec

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gowsgi/wsgi/secure/securetest"
)

// h2spec builds the tool once, in the versions that h2spec/go.mod pins.
var h2spec = sync.OnceValues(func() (string, error) {
	tool := filepath.Join(repository, "build", "h2spec")
	cmd := exec.Command("go", "build", "-C", filepath.Join(repository, "tests", "h2spec"), "-o", tool,
		"github.com/summerwind/h2spec/cmd/h2spec")
	out, err := cmd.CombinedOutput()
	return tool + "\n" + string(out), err
})

func TestHTTP2_PassesH2spec(t *testing.T) {
	told, err := h2spec()
	tool, output, _ := strings.Cut(told, "\n")
	if err != nil {
		t.Fatalf("build h2spec: %v\n%s", err, output)
	}
	ca := securetest.NewAuthority(t, "tests")
	certFile, keyFile := ca.Server(t, "127.0.0.1").Write(t, t.TempDir(), "server")
	for name, c := range map[string]struct{ server, tool []string }{
		"under TLS": {[]string{"--certfile", certFile, "--keyfile", keyFile}, []string{"--tls", "--insecure"}},
		// One of the cases sends what is no HTTP/2 and takes an answer in HTTP/1.1 for a fault.
		"in clear text": {[]string{"--http-protocols", "h2"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := Start(t, "hello", c.server...)
			_, address := s.Address()
			host, port, err := net.SplitHostPort(address)
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(tool, append(c.tool, "--strict", "--timeout", "10", "-h", host, "-p", port)...).CombinedOutput()
			summary := string(out)
			if i := strings.Index(summary, "Failures:"); i >= 0 {
				t.Errorf("h2spec: %v\n%s", err, summary[i:])
			} else if err != nil || !strings.Contains(summary, " 0 skipped, 0 failed") {
				t.Errorf("h2spec: %v, want every test passed\n%s", err, summary[max(0, len(summary)-200):])
			}
		})
	}
}
