package main

// What uWSGI's options are called in gowsgi.

import (
	"path/filepath"
	"strconv"
	"strings"
)

// uwsgiSettings are options whose value is that of a setting.
var uwsgiSettings = map[string]string{
	"http": "bind", "http-socket": "bind", "http11-socket": "bind",
	"processes": "workers", "workers": "workers", "p": "workers", "threads": "threads", "cheaper": "min-workers",
	"harakiri": "timeout", "max-requests": "max-requests", "max-requests-delta": "max-requests-jitter",
	"max-worker-lifetime": "max-worker-lifetime", "max-worker-lifetime-delta": "max-worker-lifetime-jitter",
	"worker-reload-mercy": "graceful-timeout", "reload-mercy": "graceful-timeout", "listen": "backlog", "limit-post": "max-body-size",
	"chdir": "chdir", "pythonpath": "pythonpath", "python-path": "pythonpath", "pp": "pythonpath", "env": "env",
	"uid": "user", "gid": "group", "umask": "umask", "pidfile": "pid", "safe-pidfile": "pid", "logto": "error-logfile", "logto2": "error-logfile",
	"procname": "name", "static-map": "static", "chroot": "chroot", "prio": "nice", "http-keepalive": "keep-alive",
	"chmod-socket": "socket-mode", "chown-socket": "socket-owner",
}

// uwsgiNeedless are options without which nothing is lost.
var uwsgiNeedless = map[string]string{
	"master": "there is always a front that supervises", "vacuum": "sockets and pid file are removed in any case",
	"die-on-term": "SIGTERM stops gowsgi, and requests finish", "enable-threads": "threads of the application always run",
	"single-interpreter": "there is one interpreter in each worker", "need-app": "gowsgi ends when the application cannot be imported",
	"strict": "unknown keys are errors", "thunder-lock": "one process accepts for all workers", "no-orphans": "workers go with the front",
	"harakiri-verbose": "the stacks of all threads are in the error log", "py-call-osafterfork": "always done", "py-call-uwsgi-fork-hooks": "always done",
	"plugin": "Python is built in", "plugins": "Python is built in", "plugins-dir": "Python is built in", "plugin-dir": "Python is built in",
	"ignore-sigpipe": "clients that go away are no error", "ignore-write-errors": "clients that go away are no error",
	"disable-write-exception": "clients that go away are no error", "buffer-size": "see limit-request-line and limit-request-field-size; 8190 bytes each",
	"close-on-exec": "always done", "close-on-exec2": "always done", "lazy": "the same as without preload", "auto-procname": "process titles say what they are",
	"show-config": "gowsgi --print-config", "memory-report": "see max-worker-memory", "so-keepalive": "always on", "tcp-nodelay": "always on",
	"post-buffering": "request-buffering is on unless switched off", "post-buffering-bufsize": "as post-buffering",
	"http-auto-chunked": "always done", "http-chunked-input": "always done",
	"disable-logging": "there is no access log unless access-logfile says so", "log-master": "the front writes the logs",
	"threaded-logger": "the front writes the logs", "protocol": "clients speak HTTP to gowsgi",
	"offload-threads": "files are sent by the front", "wsgi-env-behavior": "each request has an environ of its own",
	"wsgi-env-behaviour": "each request has an environ of its own", "reuse-port": "one process accepts for all workers", "set": "a placeholder",
	"set-placeholder": "a placeholder", "set-ph": "a placeholder", "log-date": "records begin with date and time", "logdate": "records begin with date and time",
	"py-tracebacker": "the stacks of a worker that hangs are in the error log", "socket-timeout": "see header-timeout, body-timeout and send-timeout",
	"http-timeout": "see header-timeout, body-timeout and send-timeout", "cheaper-algo": "workers are started when requests queue and a processor is free",
	"cheaper-step": "workers are started one by one", "cheaper-overload": "see worker-idle-timeout", "hook-master-start": "SIGTERM stops gowsgi, and requests finish",
}

// uwsgiElsewhere are options that need something else, with what.
var uwsgiElsewhere = map[string]string{
	"touch-reload": "gowsgi reload, or kill -HUP", "touch-chain-reload": "gowsgi reload, or kill -HUP: workers are replaced when new ones serve",
	"touch-workers-reload": "gowsgi reload, or kill -HUP", "py-autoreload": "the development server is gowsgi dev",
	"daemonize": "run it by systemd or another supervisor; error-logfile says where the log is", "daemonize2": "run it by systemd or another supervisor",
	"attach-daemon": "a service of its own", "attach-daemon2": "a service of its own", "smart-attach-daemon": "a service of its own",
	"cron": "cron, or a timer of systemd", "cron2": "cron, or a timer of systemd", "mule": "a queue such as Celery or RQ", "mules": "a queue such as Celery or RQ",
	"spooler": "a queue such as Celery or RQ, or gowsgi.after_response", "emperor": "a service for each application, such as systemd's templates",
	"gevent": "threads", "gevent-monkey-patch": "threads", "asyncio": "threads", "async": "threads", "ugreen": "threads",
	"https": "bind, certfile and keyfile", "https-socket": "bind, certfile and keyfile", "mount": "a WSGI middleware that looks at SCRIPT_NAME",
	"ini": "another file: migrate it as well", "include": "another file: migrate it as well", "inherit": "another file: migrate it as well",
	"import": "import it in the application", "shared-import": "import it in the application", "spooler-import": "import it in the application",
	"exec-asap": "let the supervisor do it", "exec-pre-app": "let the supervisor do it", "exec-as-user": "let the supervisor do it",
	"stats": "no statistics", "stats-server": "no statistics", "log-format": "the format of the access log is fixed",
	"logformat": "the format of the access log is fixed", "logger": "error-logfile", "req-logger": "access-logfile", "log-4xx": "all requests or none: access-logfile",
	"log-5xx": "all requests or none: access-logfile", "log-slow": "all requests or none: access-logfile", "log-maxsize": "logrotate, then kill -USR1",
	"static-index": "folders are 404; the application can redirect", "static-expires": "static-max-age", "check-static": "static",
	"reload-on-as":         "max-worker-memory looks at memory that is used, not at addresses",
	"cheaper-busyness-max": "min-workers and max-workers",
}

// uwsgi goes through the options of one file.
type uwsgi struct {
	*migration
	module, callable, file *option
	lazy                   bool
}

func migrateUWSGI(path string) (*migration, error) {
	options, used, err := readUWSGI(path)
	if err != nil {
		return nil, err
	}
	u := &uwsgi{migration: newMigration(path)}
	for _, o := range options {
		o.key = strings.ReplaceAll(strings.TrimSpace(o.key), "_", "-")
		u.take(&o, used[o.key])
	}
	u.application()
	u.pool()
	return u.migration, nil
}

// take sorts one option.
func (u *uwsgi) take(o *option, placeholder bool) {
	name, needless, elsewhere := uwsgiSettings[o.key], uwsgiNeedless[o.key], uwsgiElsewhere[o.key]
	switch {
	case strings.Contains(o.value, "%(") || strings.Contains(o.value, "$(") || strings.Contains(o.value, "@("):
		u.miss(o.line, o.key+" = "+o.value, "a placeholder in it is not known here")
	case o.key == "module" || o.key == "wsgi" || o.key == "w":
		u.module = o
	case o.key == "wsgi-file" || o.key == "file":
		u.file = o
	case o.key == "callable":
		u.callable = o
	case o.key == "lazy-apps" || o.key == "lazy":
		u.lazy = isOn(o.value)
	case o.key == "socket" || o.key == "uwsgi-socket" || o.key == "s":
		u.bind(o, "clients speak HTTP here, not uwsgi: nginx says proxy_pass for uwsgi_pass")
	case name == "bind":
		u.bind(o, "")
	case o.key == "virtualenv" || o.key == "home" || o.key == "venv" || o.key == "H" || o.key == "pyhome":
		u.set(o.line, o.key, "env", "", "VIRTUAL_ENV="+o.value)
	case o.key == "reload-on-rss" || o.key == "evil-reload-on-rss":
		u.memory(o)
	case o.key == "daemonize" && !isSwitch(o.value):
		u.set(o.line, o.key, "error-logfile", "", o.value)
		u.miss(o.line, o.key, elsewhere)
	case o.key == "http-keepalive" && isOn(o.value):
		u.drop(o.line, o.key, "connections are kept for keep-alive")
	case name != "" && settingOfKey(name) != nil:
		u.set(o.line, o.key, name, "", o.value)
	case needless != "":
		u.drop(o.line, o.key, needless)
	case elsewhere != "":
		u.miss(o.line, o.key+" = "+o.value, elsewhere)
	case placeholder:
		// Its value stands where it was used.
	default:
		u.miss(o.line, o.key+" = "+o.value, "nothing like it")
	}
}

func isOn(value string) bool {
	on, err := parseToggle(value)
	return err == nil && on
}

func isSwitch(value string) bool {
	_, err := parseToggle(value)
	return err == nil
}

// bind writes an address of uWSGI's: a path is a unix socket, host and port may be
// without the host.
func (u *uwsgi) bind(o *option, comment string) {
	address := o.value
	switch _, err := strconv.Atoi(address); {
	case err == nil:
		address = ":" + address
	case strings.HasPrefix(address, "@"):
		u.miss(o.line, o.key+" = "+address, "abstract sockets are not listened at")
		return
	case strings.Contains(address, "/") || !strings.Contains(address, ":"):
		address = "unix:" + address
	}
	u.set(o.line, o.key, "bind", comment, address)
}

// memory turns megabytes into a size.
func (u *uwsgi) memory(o *option) {
	name := "max-worker-memory"
	if o.key != "reload-on-rss" {
		name += "-hard"
	}
	u.set(o.line, o.key, name, "in uWSGI megabytes of RSS, here PSS", o.value+"M")
}

// application makes MODULE:APP of what names module, file and callable.
func (u *uwsgi) application() {
	var from *option
	module := ""
	switch {
	case u.module != nil:
		from, module = u.module, u.module.value
	case u.file != nil:
		from = u.file
		var chdir string
		if chdir, module = moduleOf(u.file.value, u.given("chdir")); chdir != "" {
			u.set(from.line, from.key, "chdir", "the folder of the file", chdir)
		}
	default:
		if u.callable != nil {
			u.miss(u.callable.line, "callable = "+u.callable.value, "no module is named")
		}
		return
	}
	if u.callable != nil && !strings.Contains(module, ":") {
		module += ":" + u.callable.value
	}
	// A call without arguments may be meant: uWSGI takes MODULE:factory().
	u.set(from.line, from.key, application.name, "", module)
}

// pool sets what follows from several options.
func (u *uwsgi) pool() {
	if !u.lazy {
		u.settings["preload"] = &migrated{[]string{"true"}, []string{"uWSGI imports the application before it forks, but with lazy-apps"}}
	}
	if least := u.given("min-workers"); least != "" {
		most := u.given("workers")
		if most == "" {
			return
		}
		u.settings["max-workers"] = u.settings["workers"]
		u.settings["workers"] = &migrated{[]string{least}, []string{"as cheaper: uWSGI begins with the fewest"}}
	}
	if chdir := u.given("chdir"); chdir != "" && !filepath.IsAbs(chdir) {
		u.settings["chdir"].why = append(u.settings["chdir"].why, "below the folder gowsgi is started in")
	}
}
