package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gowsgi/cmd/failure"
)

func TestHealthcheck_AsksWhereTheServerListens(t *testing.T) {
	for line, want := range map[string]string{
		"":                                           "http://127.0.0.1:8000/-/readyz",
		"-b localhost:1":                             "http://localhost:1/-/readyz",
		"-b 127.0.0.9:1":                             "http://127.0.0.9:1/-/readyz",
		"-b unix:/run/x":                             "unix:/run/x:/-/readyz",
		"-b 192.0.2.1:1 -b [::1]:2":                  "http://[::1]:2/-/readyz",
		"--health-path / -b :1":                      "http://127.0.0.1:1/readyz",
		"--health-path /- -b 0.0.0.0:1":              "http://127.0.0.1:1/-/readyz",
		"--health-path /- -b [::]:1":                 "http://[::1]:1/-/readyz",
		"--health-path /- -b 192.0.2.1:1":            "http://192.0.2.1:1/-/readyz",
		"--certfile c -b 127.0.0.1:1":                "https://127.0.0.1:1/-/readyz",
		"--certfile c -b 127.0.0.1:1 -b unix:/run/x": "unix:/run/x:/-/readyz",
		"--certfile c -b https://127.0.0.1:1 -b http://127.0.0.1:2":                    "http://127.0.0.1:2/-/readyz",
		"--certfile c --ca-certs c --cert-reqs required -b 127.0.0.1:1 -b unix:/run/x": "unix:/run/x:/-/readyz",
		"--certfile c -b https://unix:/run/x":                                          "https://unix:/run/x:/-/readyz",
		"-b systemd -b fd://3 -b 127.0.0.1:0 -b 127.0.0.1:4":                           "http://127.0.0.1:4/-/readyz",
		"-b 127.0.0.1:1 https://example.org":                                           "https://example.org/-/readyz",
		"-b 127.0.0.1:1 --health-path none http://example.org:81/up?":                  "http://example.org:81/up?",
		"-b 127.0.0.1:1 shop:application":                                              "http://127.0.0.1:1/-/readyz",
	} {
		got, err := aim(t, line)
		if err != nil || got.String() != want {
			t.Errorf("gowsgi healthcheck %s: asks %v, %v, want %s", line, got, err, want)
		}
	}
	for line, want := range map[string]string{
		"--health-path none":   "answers no health checks",
		"-b :80":               "GOWSGI_HEALTH_PATH",
		"-b 192.0.2.1:80":      "GOWSGI_HEALTH_PATH",
		"-b systemd -b fd://3": "give a URL",
		"-b 127.0.0.1:0":       "give a URL",
		"--certfile c --ca-certs c --cert-reqs required -b 127.0.0.1:1": "clients need a certificate (--cert-reqs)",
		"http://127.0.0.1:99999/": "port out of range",
		"ftp://127.0.0.1/":        "no such URL",
	} {
		if got, err := aim(t, line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("gowsgi healthcheck %s: asks %v, %v, want an error with %q", line, got, err, want)
		} else if failure.Of(err, failure.Unexpected) == failure.Unexpected {
			t.Errorf("gowsgi healthcheck %s: %v has no code of its own, want one that says what to do", line, err)
		}
	}
}

// aim finds the target of a command line.
func aim(t *testing.T, text string) (*target, error) {
	t.Helper()
	args := strings.Fields(text)
	line, err := separate(args)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := invocation{args: args, lookup: variables(), dir: t.TempDir()}.serverSettings(line)
	if err != nil {
		t.Fatal(err)
	}
	return settings.readyTarget(line.rest)
}

// A certificate's name counts, but for what is this machine.
func TestHealthcheck_LooksAtCertificatesOfOthers(t *testing.T) {
	for line, want := range map[string]bool{
		"--certfile c -b 127.0.0.1:1":                   true,
		"--certfile c --health-path /- -b [::]:1":       true,
		"https://127.0.0.1:1":                           true,
		"https://localhost":                             true,
		"https://example.org":                           false,
		"--certfile c -b 127.0.0.1:1 https://192.0.2.1": false,
	} {
		got, err := aim(t, line)
		if err != nil || got.anyName != want {
			t.Errorf("gowsgi healthcheck %s: any name will do = %v, %v, want %v", line, got.anyName, err, want)
		}
	}
}

func TestHealthcheck_TakesItsOwnFlagOut(t *testing.T) {
	for line, want := range map[string]time.Duration{
		"-b :1": defaultWithin, "--within 2 -b :1": 2 * time.Second, "-b :1 --within=300ms": 300 * time.Millisecond,
	} {
		rest, within, err := takeWithin(strings.Fields(line))
		if err != nil || within != want || !slices.Equal(rest, []string{"-b", ":1"}) {
			t.Errorf("takeWithin(%s) = %q, %s, %v, want -b :1 and %s", line, rest, within, err, want)
		}
	}
}

// Process 1 of the machine these tests run on is another program.
func TestHealthcheck_TakesNoArgumentsOfAnotherProgram(t *testing.T) {
	if os.Getpid() == 1 {
		t.Skip("these tests are process 1")
	}
	if got := argumentsOfInit(); got != nil {
		t.Errorf("argumentsOfInit() = %q, want none", got)
	}
}
