package main

import (
	"strings"
	"testing"

	"gowsgi/cmd/failure"
	"gowsgi/environ"
)

// What the settings about TLS say must fit together; the error says what does not.
func TestCommandLine_RefusesTLSSettingsThatDoNotFit(t *testing.T) {
	for args, want := range map[string]string{
		"-b https://h:1 x":                                   "--bind: https needs --certfile",
		"--redirect-http :1 x":                               "--redirect-http: there is no https",
		"--keyfile k x":                                      "1 private keys (--keyfile) for 0 certificates",
		"--certfile a --certfile b --keyfile k x":            "1 private keys (--keyfile) for 2 certificates",
		"--certfile a --ca-certs c x":                        "say with --cert-reqs whether",
		"--certfile a --cert-reqs required x":                "say with --ca-certs who",
		"--cert-reqs 2 --ca-certs c x":                       "there is no TLS without --certfile",
		"--certfile a --cert-reqs 3 x":                       "want none, optional or required",
		"--tls-min-version 1.1 x":                            "want 1.2 or 1.3",
		"--http-protocols h3 x":                              "want h1, h2 or both",
		"--http-protocols=, x":                               "no protocol given",
		"--certfile a --redirect-http https://127.0.0.1:1 x": "without TLS",
	} {
		_, err := parseCommandLine(strings.Fields(args), variables(), nil, "")
		if err == nil || !strings.Contains(err.Error(), want) || exitCode(err) != failure.ExitUsage {
			t.Errorf("parseCommandLine(%q) = %v (code %d), want %q (code %d)", args, err, exitCode(err), want, failure.ExitUsage)
		}
	}
}

// A redirect goes to the same host and path, on the port where TLS is.
func TestRedirect_KeepsHostAndPath(t *testing.T) {
	for _, c := range []struct {
		host, path, query string
		port              int
		want              string
	}{
		{"shop.example", "/a%20b", "", 443, "https://shop.example/a%20b"},
		{"shop.example:8080", "/", "x=1&y", 443, "https://shop.example/?x=1&y"},
		{"shop.example:8080", "//evil.example/", "", 8443, "https://shop.example:8443//evil.example/"},
		{"[::1]:80", "/", "", 443, "https://[::1]/"},
		{"[::1]", "/", "", 8443, "https://[::1]:8443/"},
		{"", "/", "", 443, ""},
		{"shop.example", "*", "", 443, ""},
	} {
		r := &environ.Request{Host: []byte(c.host), Path: []byte(c.path), Query: []byte(c.query)}
		got, ok := (&redirect{port: c.port}).location(r)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("location(%q, %q, %q) = %q, %t, want %q", c.host, c.path, c.query, got, ok, c.want)
		}
	}
}
