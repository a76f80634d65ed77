package main

// gunicorn.conf.py, which is a program: gunicornconf.py reads it without running it.

import (
	"bytes"
	"context"
	_ "embed" // gunicornconf.py
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gowsgi/embed"
)

//go:embed gunicornconf.py
var gunicornReader string

// readerPatience is how long reading may take: nothing of the file runs.
const readerPatience = 10 * time.Second

// finding is one thing that gunicornconf.py has found.
type finding struct {
	Line   int
	What   string // literal, value, unknown, function, statement, condition, chosen
	Name   string
	Source string
	Value  any
}

func migrateGunicorn(path string) (*migration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), readerPatience)
	defer cancel()
	var out, complaint bytes.Buffer
	reader := exec.CommandContext(ctx, embed.Interpreter, "-I", "-c", gunicornReader, path)
	reader.Stdout, reader.Stderr = &out, &complaint
	if err := reader.Run(); err != nil {
		if text := strings.TrimSpace(complaint.String()); text != "" {
			return nil, fmt.Errorf("%s", text)
		}
		return nil, fmt.Errorf("read %s by %s: %w", path, embed.Interpreter, err)
	}
	var found []finding
	decoder := json.NewDecoder(&out)
	decoder.UseNumber()
	if err := decoder.Decode(&found); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	m := newMigration(path)
	for _, f := range found {
		m.gunicorn(f)
	}
	return m, nil
}

// gunicornNames are settings that have another name in gowsgi.
var gunicornNames = map[string]string{
	"keepalive": "keep-alive", "preload_app": "preload", "raw_env": "env", "pidfile": "pid", "accesslog": "access-logfile",
	"errorlog": "error-logfile", "logfile": "error-logfile", "loglevel": "log-level", "proc_name": "name", "wsgi_app": "app",
	"access_log_format": "access-logformat", "proxy_allow_ips": "proxy-allow-from", "reload_extra_files": "reload-extra-file",
}

// gunicornHooks are functions that gunicorn calls, with what can be done instead.
var gunicornHooks = map[string]string{
	"on_starting": "nothing of the application runs before its workers; let the supervisor do it",
	"on_reload":   "nothing runs at a reload but the import of the application",
	"when_ready":  "systemd is told by itself (Type=notify); others see the line \"listening at\"",
	"pre_fork":    "with preload = true, what the module does while it is imported",
	"post_fork":   "@gowsgi.postfork in the application runs in each worker before its first request",
	"post_worker_init": "@gowsgi.postfork in the application runs in each worker before its first request; " +
		"without preload it is imported in the worker as well",
	"worker_int":       "a worker leaves by @gowsgi.atshutdown and atexit",
	"worker_abort":     "at a timeout the stacks of all threads are in the error log",
	"pre_exec":         "SIGUSR2 starts the new gowsgi from scratch",
	"pre_request":      "a WSGI middleware",
	"post_request":     "a WSGI middleware, or gowsgi.after_response",
	"child_exit":       "@gowsgi.atshutdown in the application, which runs in the worker that leaves",
	"worker_exit":      "@gowsgi.atshutdown in the application",
	"nworkers_changed": "the error log says so",
	"on_exit":          "let the supervisor do it",
	"ssl_context":      "certificates are the front's; Python has no part in TLS",
}

// gunicornStrangers are settings whose flag has another name, of those in strangeFlags.
var gunicornStrangers = map[string]string{
	"logconfig": "log-config", "logconfig_dict": "log-config-dict", "logconfig_json": "log-config-json",
	"syslog": "log-syslog", "syslog_addr": "log-syslog-to", "syslog_prefix": "log-syslog-prefix", "syslog_facility": "log-syslog-facility",
}

func (m *migration) gunicorn(f finding) {
	hook := gunicornHooks[f.Name]
	setting := gunicornSetting(f.Name)
	switch {
	case f.What == "function" && hook != "":
		m.miss(f.Line, f.Name+"()", hook)
	case f.What == "function":
		// One of the program's own.
	case f.What == "statement":
		m.miss(f.Line, f.Source, "not run by gowsgi migrate")
	case f.What == "condition":
		m.miss(f.Line, "if "+f.Source, "cannot be told without running the program; what depends on it was left out")
	case f.What == "chosen":
		m.miss(f.Line, "if "+f.Source, fmt.Sprintf("is %v here and now; what is below follows that", f.Value))
	case f.What == "unknown" && (setting != "" || hook != ""):
		m.miss(f.Line, f.Name+" = "+f.Source, "cannot be told without running the program")
	case f.What == "literal" && setting != "":
		m.gunicornValue(f, setting, "")
	case f.What == "value" && setting != "":
		m.gunicornValue(f, setting, f.Source+", as it is here and now")
	}
}

// gunicornSetting is what the setting is called in gowsgi, or the flag it has in
// gunicorn; empty for the program's own names.
func gunicornSetting(name string) string {
	if other := gunicornNames[name]; other != "" {
		return other
	}
	if other := gunicornStrangers[name]; other != "" {
		return other
	}
	flag := strings.ReplaceAll(name, "_", "-")
	if settingOfKey(name) != nil || findStrange("--"+flag) != nil || gunicornOnly[name] != "" {
		return flag
	}
	return ""
}

// gunicornOnly are settings, beside strangeFlags, that gowsgi has no name for.
var gunicornOnly = map[string]string{
	"secure_scheme_headers": "X-Forwarded-Proto and Forwarded of the peers in forwarded-allow-ips say it",
	"access_log_format":     "the format of the access log is fixed: combined, with the time a request took",
	"statsd_host":           "nothing is sent to statsd",
	"statsd_prefix":         "nothing is sent to statsd",
	"dogstatsd_tags":        "nothing is sent to statsd",
	"print_config":          "gowsgi --print-config",
	"check_config":          "gowsgi check",
	"header_map":            "header fields whose names have underscores are dropped",
	"forwarder_headers":     "header fields whose names have underscores are dropped",
}

func (m *migration) gunicornValue(f finding, name, comment string) {
	row := settingOfKey(name)
	switch {
	case f.Value == nil:
		return // None: the default
	case row == nil && name == "worker-class":
		m.gunicornClass(f)
		return
	case row == nil:
		m.gunicornStranger(f, name)
		return
	}
	if limit, ok := f.Value.(json.Number); ok && limit == "0" && strings.HasPrefix(name, "limit-request-") {
		m.miss(f.Line, f.Name, "gowsgi has no unlimited heads; its default is "+row.shownDefault())
		return
	}
	texts, err := gunicornTexts(row, f.Value)
	if err != nil {
		m.miss(f.Line, f.Name+" = "+f.Source, err.Error())
		return
	}
	// A list is assigned here, not added to.
	delete(m.settings, row.name)
	m.set(f.Line, f.Name, name, comment, texts...)
}

func (m *migration) gunicornClass(f finding) {
	class := fmt.Sprint(f.Value)
	if _, err := judgeWorkerClass(class); err != nil {
		m.miss(f.Line, f.Name, strings.TrimPrefix(err.Error(), "--worker-class "))
		return
	}
	m.drop(f.Line, f.Name, "what gowsgi's workers are")
}

func (m *migration) gunicornStranger(f finding, name string) {
	strange := findStrange("--" + name)
	switch {
	case f.Value == false:
		return
	case strange != nil && strange.needless != "":
		m.drop(f.Line, f.Name, strange.needless)
	case strange != nil:
		m.miss(f.Line, f.Name, strange.refusal)
	default:
		m.miss(f.Line, f.Name+" = "+f.Source, gunicornOnly[f.Name])
	}
}

// gunicornTexts writes a value of Python's as a setting's texts.
func gunicornTexts(row *setting, value any) ([]string, error) {
	switch v := value.(type) {
	case string:
		return []string{v}, nil
	case bool:
		return []string{strconv.FormatBool(v)}, nil
	case json.Number:
		if row.kind.word == "MODE" {
			mode, err := v.Int64()
			return []string{fmt.Sprintf("%03o", mode)}, err
		}
		return []string{v.String()}, nil
	case []any:
		var texts []string
		for _, element := range v {
			text, err := gunicornTexts(row, element)
			if err != nil {
				return nil, err
			}
			texts = append(texts, text...)
		}
		if !row.kind.repeat {
			return []string{strings.Join(texts, ",")}, nil
		}
		return texts, nil
	}
	return nil, fmt.Errorf("gowsgi's %s is no dictionary", row.name)
}

// moduleOf turns a file's path into a folder to change to and a module's name.
func moduleOf(file, below string) (chdir, module string) {
	file = strings.TrimSuffix(filepath.Clean(file), ".py")
	if filepath.IsAbs(file) && below != "" {
		if inside, err := filepath.Rel(below, file); err == nil && !strings.HasPrefix(inside, "..") {
			file = inside
		}
	}
	if filepath.IsAbs(file) || strings.HasPrefix(file, "..") {
		return filepath.Dir(file), filepath.Base(file)
	}
	return "", strings.ReplaceAll(file, "/", ".")
}
