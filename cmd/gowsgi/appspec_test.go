package main

import "testing"

func TestParseAppSpec_Accepts(t *testing.T) {
	for text, want := range map[string]AppSpec{
		"wsgi":                       {"wsgi", "application"},
		"site.wsgi":                  {"site.wsgi", "application"},
		"site.wsgi:app":              {"site.wsgi", "app"},
		"site:shop.app":              {"site", "shop.app"},
		"app:create_app()":           {"app", "create_app()"},
		"app:create_app(debug=True)": {"app", "create_app(debug=True)"},
		`app:make("a:b)", [1, (2)])`: {"app", `make("a:b)", [1, (2)])`},
		`app:make('it\'s')`:          {"app", `make('it\'s')`},
		"größe:строка":               {"größe", "строка"},
	} {
		got, err := parseAppSpec(text)
		if err != nil || got != want {
			t.Errorf("parseAppSpec(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
}

func TestParseAppSpec_Refuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                  "no application given (want MODULE[:APP])",
		":app":              `":app" names no module (want MODULE[:APP])`,
		"app:":              `"app:" names nothing after the colon; did you mean "app:application"?`,
		"foo.py":            `"foo.py" is a file name; did you mean "foo:application"?`,
		"pkg/foo.py":        `"pkg/foo.py" is a file name; did you mean "pkg.foo:application"?`,
		"foo.py:app":        `"foo.py:app" is a file name; did you mean "foo:app"?`,
		"./foo.py":          `"./foo.py" is a file name; did you mean "foo:application"?`,
		"pkg/foo:app":       `"pkg/foo:app" is a file name; did you mean "pkg.foo:app"?`,
		"/srv/site/wsgi.py": `"/srv/site/wsgi.py" is a file name; did you mean "--chdir /srv/site wsgi:application"?`,
		"../wsgi.py":        `"../wsgi.py" is a file name; did you mean "--chdir .. wsgi:application"?`,
		".py":               `".py": ".py" cannot be a module's name`,
		"a..b":              `"a..b": "a..b" cannot be a module's name`,
		"my-site":           `"my-site": "my-site" cannot be a module's name`,
		"2site":             `"2site": "2site" cannot be a module's name`,
		"a b":               `"a b": "a b" cannot be a module's name`,
		"a:b c":             `"a:b c": "b c" cannot be an object's name`,
		"a:b:c":             `"a:b:c": "b:c" cannot be an object's name`,
		"a:(1)":             `"a:(1)": "(1)" cannot be an object's name`,
		"a:f(":              `"a:f(": the call does not end with its closing bracket`,
		"a:f(1]":            `"a:f(1]": the call does not end with its closing bracket`,
		"a:f()()":           `"a:f()()": the call does not end with its closing bracket`,
		`a:f(")`:            `"a:f(\")": the call does not end with its closing bracket`,
		`a:f("\`:            `"a:f(\"\\": the call does not end with its closing bracket`,
	} {
		got, err := parseAppSpec(text)
		if err == nil || err.Error() != want {
			t.Errorf("parseAppSpec(%q) = %v, %v, want error %q", text, got, err, want)
		}
	}
}
