package main

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"gowsgi/cmd/failure"
)

func TestCommandLine_AllFieldsTogetherHaveRoomForOne(t *testing.T) {
	for args, want := range map[string]int{
		"wsgi":                                  65536,
		"--limit-request-header 1000 wsgi":      1000,
		"--limit-request-field-size 65000 wsgi": 65536,
		"--limit-request-field-size 65536 wsgi": 2 * 65536,
		"--limit-request-field-size 65536 --limit-request-header 65537 wsgi": 65537,
	} {
		if got := parse(t, args, variables()).LimitRequestHeader; got != want {
			t.Errorf("parseCommandLine(%q): all fields have %d bytes, want %d", args, got, want)
		}
	}
}

func TestCommandLine_ARateNeedsSomeTimeBefore(t *testing.T) {
	const args = "--min-rate-grace 0 wsgi"
	_, err := parseCommandLine(strings.Fields(args), variables(), &bytes.Buffer{}, "")
	if exitCode(err) != failure.ExitUsage {
		t.Errorf("parseCommandLine(%q) = %v, want a usage error", args, err)
	}
	parse(t, "--min-rate 0 "+args, variables())
}

func TestAdmission_LeavesFilesForOthersThanConnections(t *testing.T) {
	_, most := openFilesLimit()
	for _, c := range []struct {
		asked  int
		origin string
		want   int
		warns  bool
	}{
		{1, "--max-connections", 1, false},
		{most, "--max-connections", most, false},
		{most + 1, "--max-connections", most, true},
		{most + 1, "default", most, false},
		{0, "--max-connections", most, false},
	} {
		var log bytes.Buffer
		s := parse(t, "--forwarded-allow-ips 127.0.0.0/8 wsgi", variables())
		s.MaxConnections, s.MaxConnectionsPerIP, s.Origins = c.asked, 3, map[string]string{"max-connections": c.origin}
		got := s.admission(slog.New(slog.NewTextHandler(&log, nil)))
		if got.Connections != c.want || got.ConnectionsPerIP != 3 || log.Len() > 0 != c.warns {
			t.Errorf("admission of %d (%s) = %+v, log %q, want %d, a warning: %t", c.asked, c.origin, got, log.String(), c.want, c.warns)
		}
		if !got.Exempt(netip.MustParseAddr("127.0.0.5")) || got.Exempt(netip.MustParseAddr("192.0.2.1")) {
			t.Errorf("Exempt(127.0.0.5), Exempt(192.0.2.1) = false, true, want the opposite")
		}
	}
}
