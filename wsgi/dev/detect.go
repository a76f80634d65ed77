package dev

// Finds the application in a folder, as its developer would name it.

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// ErrNoApplication is returned by Detect when a folder holds nothing it knows.
var ErrNoApplication = errors.New("no application found here: neither Django's manage.py, nor application, app or create_app() in wsgi.py, app.py, application.py or main.py")

// modules are looked into in this order.
var modules = []string{"wsgi", "app", "application", "main"}

// objects are looked for in this order; factories are called without arguments.
var (
	objects   = []string{"application", "app"}
	factories = []string{"create_app", "make_app"}
)

// Detect returns the MODULE:APP of the application in dir: what the settings of
// Django's manage.py say, else what one of the usual modules holds. settings is
// $DJANGO_SETTINGS_MODULE, which goes before what manage.py names. The files are
// read, not run.
func Detect(dir, settings string) (string, error) {
	if text, err := os.ReadFile(filepath.Join(dir, "manage.py")); err == nil {
		if app := detectDjango(dir, string(text), settings); app != "" {
			return app, nil
		}
	}
	for _, module := range modules {
		for _, file := range []string{module + ".py", filepath.Join(module, "__init__.py")} {
			text, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				continue
			}
			if object := detectObject(string(text)); object != "" {
				return module + ":" + object, nil
			}
		}
	}
	return "", ErrNoApplication
}

var (
	settingsName    = regexp.MustCompile(`["']DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)["']`)
	applicationName = regexp.MustCompile(`(?m)^WSGI_APPLICATION\s*(?::\s*\w+\s*)?=\s*["']([\w.]+)\.(\w+)["']`)
)

// detectDjango asks the settings that manage.py names; where they do not say (the
// setting may be imported from elsewhere), it is wsgi.py beside them.
func detectDjango(dir, manage, settings string) string {
	if settings == "" {
		found := settingsName.FindStringSubmatch(manage)
		if found == nil {
			return ""
		}
		settings = found[1]
	}
	path := filepath.Join(dir, filepath.Join(strings.Split(settings, ".")...))
	for _, file := range []string{path + ".py", filepath.Join(path, "__init__.py")} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if found := applicationName.FindStringSubmatch(string(text)); found != nil {
			return found[1] + ":" + found[2]
		}
	}
	parts := strings.Split(settings, ".")
	for n := len(parts) - 1; n > 0; n-- { // mysite.settings.local: mysite.settings, mysite
		folder := filepath.Join(dir, filepath.Join(parts[:n]...))
		if _, err := os.Stat(filepath.Join(folder, "wsgi.py")); err == nil {
			return strings.Join(parts[:n], ".") + ".wsgi:application"
		}
	}
	return ""
}

// detectObject finds what a module binds at its top level.
func detectObject(text string) string {
	for _, name := range objects {
		bound := regexp.MustCompile(`(?m)^(?:` + name + `\s*(?::[^=\n]+)?=[^=]|(?:def|class)\s+` + name + `\b|(?:from|import)\b[^#\n]*\b(?:import|as)\b[^#\n]*\b` + name + `\b)`)
		if bound.MatchString(text) {
			return name
		}
	}
	for _, name := range factories {
		defined := regexp.MustCompile(`(?ms)^def\s+` + name + `\s*\(([^)]*)\)`).FindStringSubmatch(text)
		if defined != nil && optional(defined[1]) {
			return name + "()"
		}
		if regexp.MustCompile(`(?m)^from\b[^#\n]*\bimport\b[^#\n]*\b` + name + `\b`).MatchString(text) {
			return name + "()"
		}
	}
	return ""
}

// optional says that none of a function's parameters has to be given.
func optional(parameters string) bool {
	for parameter := range strings.SplitSeq(parameters, ",") {
		parameter = strings.TrimSpace(parameter)
		if parameter != "" && !strings.Contains(parameter, "=") && !strings.HasPrefix(parameter, "*") && parameter != "/" {
			return false
		}
	}
	return true
}
