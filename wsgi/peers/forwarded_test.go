package peers

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseForwarded_TakesWhatTheGrammarHas(t *testing.T) {
	for line, want := range map[string]string{
		"":                         "",
		" , ,":                     "",
		"for=1.2.3.4":              "1.2.3.4||",
		"FOR=a;HoSt=b;PROTO=c":     "a|b|c",
		"for=a , for=b,for=c":      "a|| b|| c||",
		";for=a;;host=b;":          "a|b|",
		`for="a\"b\\c"`:            `a"b\c||`,
		`for="a,b;c=d"`:            "a,b;c=d||",
		"for=a;secret=x;by=_y":     "a||",
		`for=a;ext="";host=b`:      "a|b|",
		"for=a\t,\tproto=b":        "a|| ||b",
		`for=_a.b-c;by="[::1]:80"`: "_a.b-c||",
	} {
		hops, ok := parseForwarded([]byte(line))
		var got []string
		for _, h := range hops {
			got = append(got, fmt.Sprintf("%s|%s|%s", h.client, h.host, h.proto))
		}
		if !ok || strings.Join(got, " ") != want {
			t.Errorf("parseForwarded(%s) = %v, %v, want %s", line, got, ok, want)
		}
	}
}

func TestParseForwarded_RefusesEverythingElse(t *testing.T) {
	for _, line := range []string{
		"for", "for=", "=a", "for=a b", "for =a", "for= a", "for=a; host=b", "for=a;host", `for="a`, `for="a\`, `for="a"b`,
		`for=a"b"`, "for=[::1]", "for=a:80", "for=a;for=b", "for=a;FOR=a", "by=a;by=b", `for=""`, `host="";for=a`, "for=a/b", "for=\xe4",
	} {
		if hops, ok := parseForwarded([]byte(line)); ok {
			t.Errorf("parseForwarded(%s) = %q, want it refused", line, hops)
		}
	}
}
