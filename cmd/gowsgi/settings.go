package main

// What gowsgi can be told: one table. The flags, the GOWSGI_* variables, the keys
// of configuration files, the help text, the page docs/settings.md, the completions
// and the manual page are all made from it. sources.go says which place counts.

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"gowsgi/wsgi/files"
	"gowsgi/wsgi/peers"
)

// Settings is what one run was asked to do, checked and typed.
type Settings struct {
	// App is the application to serve.
	App AppSpec
	// Chdir is the folder to change to before the import; empty: stay.
	Chdir string
	// PythonPath holds folders to put before the rest of sys.path, in order.
	PythonPath []string
	// Env holds NAME=VALUE variables for the application's process environment,
	// whatever else says about them; EnvFiles names files of others, and FileEnv
	// holds those, which only count where the environment has none of the name.
	Env, EnvFiles, FileEnv []string
	// CheckOnly: import the application, say whether that worked, and exit.
	CheckOnly bool
	// Config is the configuration file that was asked for; empty: what is found.
	Config string
	// Preload: import the application once, before the workers are forked.
	Preload bool

	Reload           bool     // follow the application's files; pages say what failed
	ReloadEngine     string   // auto, poll or inotify
	ReloadExtraFiles []string // patterns of files to watch, too
	ReloadExcludes   []string // patterns of what not to watch
	NoLivereload     bool     // open pages do not refresh themselves

	Workers int // processes, 1 to 1024
	Threads int // threads in each, 1 to 250
	// MinWorkers and MaxWorkers bound what the load makes of Workers; all three
	// the same: nothing.
	MinWorkers, MaxWorkers int
	WorkerIdleTimeout      time.Duration // a worker not needed for so long goes

	MaxRequests             int           // a worker begins before it is replaced; 0: unlimited
	MaxRequestsJitter       int           // at most so many more, by chance
	MaxWorkerLifetime       time.Duration // after which a worker is replaced; 0: unlimited
	MaxWorkerLifetimeJitter time.Duration // at most so much more, by chance
	MaxWorkerMemory         int64         // bytes that make a worker be replaced; 0: unlimited
	MaxWorkerMemoryHard     int64         // bytes that make a worker be killed; 0: unlimited
	// RetryOnCrash: run a GET or HEAD again that was lost with its worker.
	RetryOnCrash bool

	Binds       []Bind      // at least one
	HealthPath  *string     // that probes are below, without a slash at its end; nil: none
	Backlog     int         // connections the kernel may hold ready, as in listen(2)
	SocketMode  fs.FileMode // of the files of unix sockets; 0: what the umask leaves
	SocketOwner Owner       // of the files of unix sockets

	ForwardedAllowIPs []peers.Network // peers whose Forwarded and X-Forwarded fields are believed
	ProxyProtocol     bool            // connections from ProxyAllowFrom begin with a PROXY header
	ProxyAllowFrom    []peers.Network
	RequestIDHeader   string // field that carries a request's id; empty: none
	RootPath          string // SCRIPT_NAME, without a slash at its end

	Certfiles, Keyfiles []string           // PEM, a key for each certificate; none: no TLS
	CACerts             string             // PEM, who may sign clients' certificates
	CertReqs            tls.ClientAuthType // whether clients need one
	TLSMinVersion       uint16             // of crypto/tls
	Protocols           []string           // protocolHTTP1, protocolHTTP2
	HTTP2Streams        int                // requests of one connection at a time
	Redirects           []Bind             // plain listeners that send clients to https
	RedirectPort        int                // where they send them; 0: to the first https address

	Static        []files.Mount // folders served as they are
	StaticMaxAge  time.Duration // clients keep what they got from there; 0: and ask each time
	SendfileRoots []files.Mount // folders the application may name files of

	KeepAlive     time.Duration // idle time of a connection between requests; 0: close after each
	HeaderTimeout time.Duration // time the head of a request may take to arrive; 0: unlimited
	BodyTimeout   time.Duration // time between two pieces of a request's body; 0: unlimited
	SendTimeout   time.Duration // time until the client takes more of an answer; 0: unlimited
	MinRate       int           // bytes in a second that a request must arrive at; 0: any
	MinRateGrace  time.Duration // time a request may take before that counts
	Timeout       time.Duration // time to work on a request without giving anything; 0: unlimited
	QueueTimeout  time.Duration // time a request may wait for a worker; 0: unlimited
	// time that functions given to gowsgi.after_response have together; 0: unlimited
	AfterResponseTimeout time.Duration
	DrainDelay           time.Duration // from being asked to stop to the beginning of it
	GracefulTimeout      time.Duration // time that requests have to finish when a worker is to leave
	StartupTimeout       time.Duration // for a worker to become ready; 0: unlimited

	LimitRequestLine      int   // bytes
	LimitRequestFields    int   // header fields
	LimitRequestFieldSize int   // bytes of one field, its name included
	LimitRequestHeader    int   // bytes of all fields together
	MaxBodySize           int64 // bytes; 0: unlimited
	MaxQueue              int   // requests that wait without a place in a worker; 0: unlimited
	KeepAliveRequests     int   // requests on one connection; 0: unlimited
	MaxConnections        int   // open connections; 0: unlimited
	MaxConnectionsPerIP   int   // open connections of one address; 0: unlimited

	User       string // whom the application runs as, a name or number; empty: who started it
	Group      string // likewise; empty: the user's
	Initgroups bool   // with the user's supplementary groups
	Umask      *int   // file mode creation mask of all processes; nil: inherited
	Nice       *int   // of zygote and workers, -20 to 19; nil: inherited
	Chroot     string // the application's root folder; empty: none

	RequestBuffering bool   // a request body is complete before the application is called
	ResponseBuffer   int64  // bytes of an answer that are kept for a slow client; 0: none
	TempDir          string // where bodies too large for memory are kept

	AccessLogfile string     // path, "-" for standard output, empty for none
	ErrorLogfile  string     // path, "-" for standard error
	LogLevel      slog.Level // records below are dropped
	PIDFile       string     // path, empty for none
	Name          string     // shown in process titles

	// Origins says, by setting name, what gave the value: "--workers",
	// "GOWSGI_WORKERS", "gowsgi.toml:3: workers", "WEB_CONCURRENCY" or "default".
	Origins map[string]string
	// Warnings are what the operator should know about how they were given.
	Warnings []string
	said     sayings // what all of this was made from
	// limited are defaults, by setting name, that control groups have made others.
	limited map[string]limitedDefault
}

// A setting is one row of the table.
type setting struct {
	name     string     // of the flag, without dashes in front
	short    string     // one letter, or empty
	hidden   []string   // other spellings that are understood but not shown
	live     bool       // a reload puts a changed value into force; without it a restart is needed
	group    string     // heading in help and docs/settings.md
	kind     kind       // how values are written, and where they go
	variable []variable // asked after GOWSGI_<NAME>
	value    string     // the default, as one would write it; empty: none
	unit     string     // what a plain number counts, for help; empty: nothing
	help     string     // one line, without a full stop
}

// A variable is an environment variable that other tools set for any server.
type variable struct {
	name   string
	prefix string // put before its value to make the setting's text
}

// Headings of help and docs/settings.md, in the order they appear.
const (
	groupApp    = "Application"
	groupDev    = "Development"
	groupWork   = "Workers"
	groupRenew  = "Replacing workers"
	groupListen = "Listening"
	groupTLS    = "TLS and HTTP/2"
	groupFiles  = "Files"
	groupPeers  = "Behind proxies"
	groupTimers = "Timers"
	groupLimits = "Limits"
	groupRights = "Rights of the application"
	groupBodies = "Slow clients"
	groupLogs   = "Logs and process"
)

// table lists every setting, in the order of help. A new one is a field of
// Settings and a row here; `go test ./cmd/gowsgi -run SettingsPage -update`
// then brings docs/settings.md up to date.
var table = []setting{
	{
		name: "config", short: "c", group: groupApp,
		help: "read settings from this file, instead of gowsgi.toml or pyproject.toml's [tool.gowsgi] in the working folder",
		kind: text("FILE", func(s *Settings) *string { return &s.Config }),
	},
	{
		name: "chdir", group: groupApp, help: "change to this folder first; it is also the first place modules are looked for",
		kind: text("DIR", func(s *Settings) *string { return &s.Chdir }),
	},
	{
		name: "pythonpath", live: true, group: groupApp, help: "folders to look for modules in first, separated by commas or colons",
		kind: several("DIRS", ",:", func(s *Settings) *[]string { return &s.PythonPath }, parsePath),
	},
	{
		name: "env", live: true, short: "e", group: groupApp, help: "set an environment variable for the application",
		kind: pairs(func(s *Settings) *[]string { return &s.Env }),
	},
	{
		name: "env-file", live: true, group: groupApp, help: "set the application's environment variables that this .env file holds, unless they are set already",
		kind: several("FILE", "", func(s *Settings) *[]string { return &s.EnvFiles }, parsePath),
	},
	{
		name: "preload", live: true, group: groupApp, help: "import the application once, before forking, so that workers share its memory",
		kind: toggle(func(s *Settings) *bool { return &s.Preload }),
	},
	{
		name: "reload", group: groupDev, help: "load the application anew when its files change; failures are shown with their code: never for the public",
		kind: toggle(func(s *Settings) *bool { return &s.Reload }),
	},
	{
		name: "reload-engine", group: groupDev, help: "how changes are noticed: inotify, poll for file systems without events, or auto", value: "auto",
		kind: choice("ENGINE", func(s *Settings) *string { return &s.ReloadEngine }, "auto", "inotify", "poll"),
	},
	{
		name: "reload-extra-file", group: groupDev, help: `watch these files, too: a path, or a pattern with * and **`,
		kind: several("PATTERN", ",", func(s *Settings) *[]string { return &s.ReloadExtraFiles }, parsePattern),
	},
	{
		name: "reload-exclude", group: groupDev, help: "do not watch files or folders with such names, or paths",
		kind: several("PATTERN", ",", func(s *Settings) *[]string { return &s.ReloadExcludes }, parsePattern),
	},
	{
		name: "no-livereload", group: groupDev, help: "with --reload: leave open pages alone, instead of having them refresh themselves",
		kind: toggle(func(s *Settings) *bool { return &s.NoLivereload }),
	},
	{
		name: "workers", live: true, short: "w", group: groupWork, help: "worker processes; where a cgroup limits processors, as in a container, the default is as many as these, if there are 128 MiB for each", value: "1",
		kind:     number(func(s *Settings) *int { return &s.Workers }, 1, 1024),
		variable: []variable{{name: "WEB_CONCURRENCY"}},
	},
	{
		name: "threads", live: true, group: groupWork, help: "threads in each worker", value: "1",
		kind: number(func(s *Settings) *int { return &s.Threads }, 1, 250),
	},
	{
		name: "min-workers", live: true, group: groupWork, help: "fewest workers that are kept when there is little to do; as many as --workers if not given, 0: the first request starts one",
		kind: number(func(s *Settings) *int { return &s.MinWorkers }, 0, 1024),
	},
	{
		name: "max-workers", live: true, group: groupWork, help: "most workers that are started when requests queue and a processor is free; as many as --workers if not given",
		kind: number(func(s *Settings) *int { return &s.MaxWorkers }, 1, 1024),
	},
	{
		name: "worker-idle-timeout", live: true, group: groupWork, help: "a worker more than was needed for so long goes, down to --min-workers", value: "60", unit: "seconds",
		kind: duration(func(s *Settings) *time.Duration { return &s.WorkerIdleTimeout }),
	},
	{
		name: "retry-on-crash", live: true, group: groupWork, value: "true",
		help: "run a GET or HEAD once more on another worker when its own one ended without answering",
		kind: toggle(func(s *Settings) *bool { return &s.RetryOnCrash }),
	},
	{
		name: "max-requests", live: true, group: groupRenew, help: "replace a worker that has served so many requests; 0: never", value: "0",
		kind: number(func(s *Settings) *int { return &s.MaxRequests }, 0, 1<<30),
	},
	{
		name: "max-requests-jitter", live: true, group: groupRenew, help: "at most so many requests more, by chance, so that workers are not replaced all at once", value: "0",
		kind: number(func(s *Settings) *int { return &s.MaxRequestsJitter }, 0, 1<<30),
	},
	{
		name: "max-worker-lifetime", live: true, group: groupRenew, help: "replace a worker that has lived so long; 0: never", value: "0", unit: "seconds",
		kind: duration(func(s *Settings) *time.Duration { return &s.MaxWorkerLifetime }),
	},
	{
		name: "max-worker-lifetime-jitter", live: true, group: groupRenew, help: "at most so much longer, by chance", value: "0", unit: "seconds",
		kind: duration(func(s *Settings) *time.Duration { return &s.MaxWorkerLifetimeJitter }),
	},
	{
		name: "max-worker-memory", live: true, group: groupRenew, value: "0", unit: "bytes",
		help: "replace a worker that has more memory (PSS, or RSS where that is not told), once its requests are done; where a cgroup limits memory, the default is 80 % of that, divided by the most workers; 0: never",
		kind: size(func(s *Settings) *int64 { return &s.MaxWorkerMemory }),
	},
	{
		name: "max-worker-memory-hard", live: true, group: groupRenew, value: "0", unit: "bytes",
		help: "kill a worker that has more memory, with its requests; 0: never",
		kind: size(func(s *Settings) *int64 { return &s.MaxWorkerMemoryHard }),
	},
	{
		name: "bind", short: "b", group: groupListen, value: "127.0.0.1:8000",
		help:     "listen here: HOST:PORT, [V6]:PORT, :PORT, unix:PATH, fd://N, systemd or systemd:NAME; sockets from systemd need no --bind; http:// or https:// in front says whether under TLS, which with --certfile is the rule for TCP",
		kind:     several("ADDRESS", ",", func(s *Settings) *[]Bind { return &s.Binds }, parseBind),
		variable: []variable{{name: "PORT", prefix: "0.0.0.0:"}},
	},
	{
		name: "health-path", live: true, group: groupListen, value: "/-",
		help: "answer PATH/healthz (this server lives) and PATH/readyz (requests may come) without the application; if not given, only on loopback addresses and unix sockets; none: nowhere",
		kind: healthPath(func(s *Settings) **string { return &s.HealthPath }),
	},
	{
		name: "backlog", group: groupListen, help: "connections the kernel may hold ready", value: "2048",
		kind: number(func(s *Settings) *int { return &s.Backlog }, 1, 65535),
	},
	{
		name: "socket-mode", group: groupListen, help: "permissions of unix sockets, such as 660; what the umask leaves if not given",
		kind: permissions(func(s *Settings) *fs.FileMode { return &s.SocketMode }),
	},
	{
		name: "socket-owner", group: groupListen, help: "give unix sockets to this user and group: USER, USER:GROUP or :GROUP, names or numbers",
		kind: owner(func(s *Settings) *Owner { return &s.SocketOwner }),
	},
	{
		name: "certfile", group: groupTLS, help: "certificate with its chain, in PEM form; of several, the one for the name that the client asks for; loaded again when the file changes and on SIGHUP",
		kind: several("FILE", "", func(s *Settings) *[]string { return &s.Certfiles }, parseFile),
	},
	{
		name: "keyfile", group: groupTLS, help: "private key of each --certfile, in their order; if none is given, the keys are in the certificates' files",
		kind: several("FILE", "", func(s *Settings) *[]string { return &s.Keyfiles }, parseFile),
	},
	{
		name: "ca-certs", group: groupTLS, help: "authorities that may sign clients' certificates, in PEM form",
		kind: text("FILE", func(s *Settings) *string { return &s.CACerts }),
	},
	{
		name: "cert-reqs", group: groupTLS, value: "none", help: "whether clients need a certificate: none, optional or required, or as Python's ssl counts them, 0, 1 or 2",
		kind: kind{word: "WHETHER", store: storeCertReqs},
	},
	{
		name: "tls-min-version", group: groupTLS, value: "1.2", help: "oldest TLS that is spoken: 1.2 or 1.3",
		kind: kind{word: "VERSION", store: storeTLSVersion},
	},
	{
		name: "http-protocols", group: groupTLS, value: "h1,h2", help: "what is spoken: h1 is HTTP/1.1 and 1.0, h2 is HTTP/2, by ALPN under TLS and by prior knowledge without",
		kind: several("LIST", ",", func(s *Settings) *[]string { return &s.Protocols }, parseProtocol),
	},
	{
		name: "http2-max-concurrent-streams", group: groupTLS, value: "100", help: "requests of one HTTP/2 connection that are served at a time",
		kind: number(func(s *Settings) *int { return &s.HTTP2Streams }, 1, 10000),
	},
	{
		name: "redirect-http", group: groupTLS, help: "listen here too, without TLS, and send every client to the same address under https",
		kind: several("ADDRESS", ",", func(s *Settings) *[]Bind { return &s.Redirects }, parseRedirect),
	},
	{
		name: "redirect-port", group: groupTLS, value: "0", help: "port that --redirect-http sends clients to; 0: the first that is listened on under TLS",
		kind: number(func(s *Settings) *int { return &s.RedirectPort }, 0, 65535),
	},
	{
		name: "static", group: groupFiles, help: "serve the files of a folder below a path, without the application",
		kind: several("/PREFIX=DIR", "", func(s *Settings) *[]files.Mount { return &s.Static }, parseMount),
	},
	{
		name: "static-max-age", group: groupFiles, value: "0", unit: "seconds",
		help: "time clients may use a static file without asking again; 0: they ask each time",
		kind: age(func(s *Settings) *time.Duration { return &s.StaticMaxAge }),
	},
	{
		name: "sendfile-root", group: groupFiles,
		help: "send files of a folder that the application names by X-Accel-Redirect, below the prefix, or by X-Sendfile",
		kind: several("/PREFIX=DIR", "", func(s *Settings) *[]files.Mount { return &s.SendfileRoots }, parseMount),
	},
	{
		name: "forwarded-allow-ips", live: true, group: groupPeers, value: loopback,
		help:     "believe Forwarded, X-Forwarded-* and request ids of these peers and of unix sockets, remove those of others; *: everyone, none: nobody",
		kind:     several("NETWORKS", ",", func(s *Settings) *[]peers.Network { return &s.ForwardedAllowIPs }, peers.ParseNetwork),
		variable: []variable{{name: "FORWARDED_ALLOW_IPS"}},
	},
	{
		name: "proxy-protocol", group: groupPeers, help: "expect the PROXY protocol, version 1 or 2, from --proxy-allow-from",
		kind: toggle(func(s *Settings) *bool { return &s.ProxyProtocol }),
	},
	{
		name: "proxy-allow-from", group: groupPeers, value: loopback,
		help: "connections of these peers and on unix sockets begin with a PROXY header or are closed, others are served as they are; *: everyone",
		kind: several("NETWORKS", ",", func(s *Settings) *[]peers.Network { return &s.ProxyAllowFrom }, peers.ParseNetwork),
	},
	{
		name: "request-id-header", live: true, group: groupPeers, value: "X-Request-ID",
		help: "field that brings a request's id to the application and to the client, and from trusted peers; none: no field",
		kind: fieldName(func(s *Settings) *string { return &s.RequestIDHeader }),
	},
	{
		name: "root-path", live: true, group: groupPeers, help: "where the application is mounted (SCRIPT_NAME); taken off the path where that begins with it",
		kind:     mountPoint(func(s *Settings) *string { return &s.RootPath }),
		variable: []variable{{name: "SCRIPT_NAME"}},
	},
	{
		name: "keep-alive", live: true, group: groupTimers, value: "5", unit: "seconds",
		help: "close a connection that is idle this long between requests; 0: after every response",
		kind: duration(func(s *Settings) *time.Duration { return &s.KeepAlive }),
	},
	{
		name: "header-timeout", live: true, group: groupTimers, value: "15", unit: "seconds",
		help: "answer 408 when a request's head has not arrived after so long, which is plenty for 64 KiB over any line in use; 0: never",
		kind: duration(func(s *Settings) *time.Duration { return &s.HeaderTimeout }),
	},
	{
		name: "body-timeout", live: true, group: groupTimers, value: "60", unit: "seconds",
		help: "answer 408 when nothing more of a request's body comes for so long, more than a phone needs to find its network again; 0: never",
		kind: duration(func(s *Settings) *time.Duration { return &s.BodyTimeout }),
	},
	{
		name: "send-timeout", live: true, group: groupTimers, value: "60", unit: "seconds",
		help: "drop a client that takes nothing of its response for so long, for the same reason; 0: never",
		kind: duration(func(s *Settings) *time.Duration { return &s.SendTimeout }),
	},
	{
		name: "min-rate", live: true, group: groupTimers, value: "240", unit: "bytes a second",
		help: "answer 408 when a request comes slower, waiting for the application not counted; the slowest modems are ten times as fast; 0: any rate will do",
		kind: number(func(s *Settings) *int { return &s.MinRate }, 0, 1<<30),
	},
	{
		name: "min-rate-grace", live: true, group: groupTimers, value: "10", unit: "seconds",
		help: "time a request's head, and then its body, may take before --min-rate counts: lost packets are sent again within it",
		kind: duration(func(s *Settings) *time.Duration { return &s.MinRateGrace }),
	},
	{
		name: "timeout", live: true, short: "t", group: groupTimers, value: "30", unit: "seconds",
		help: "answer 504 and replace the worker when the application works this long without giving or taking anything; 0: never",
		kind: duration(func(s *Settings) *time.Duration { return &s.Timeout }),
	},
	{
		name: "queue-timeout", live: true, group: groupTimers, value: "30", unit: "seconds",
		help: "answer 503 when a request has waited this long for a worker; 0: never",
		kind: duration(func(s *Settings) *time.Duration { return &s.QueueTimeout }),
	},
	{
		name: "after-response-timeout", live: true, group: groupTimers, value: "30", unit: "seconds",
		help: "replace the worker when what gowsgi.after_response was given takes this long; 0: never",
		kind: duration(func(s *Settings) *time.Duration { return &s.AfterResponseTimeout }),
	},
	{
		name: "drain-delay", live: true, group: groupTimers, value: "0", unit: "seconds",
		help: "after SIGTERM, serve on for so long while the health check says 503: load balancers learn of it before connections are refused",
		kind: duration(func(s *Settings) *time.Duration { return &s.DrainDelay }),
	},
	{
		name: "graceful-timeout", live: true, group: groupTimers, help: "time requests have to finish when the server stops or their worker is replaced", value: "30", unit: "seconds",
		kind: duration(func(s *Settings) *time.Duration { return &s.GracefulTimeout }),
	},
	{
		name: "startup-timeout", live: true, group: groupTimers, help: "time a worker has to import the application; 0: unlimited", value: "60", unit: "seconds",
		kind: duration(func(s *Settings) *time.Duration { return &s.StartupTimeout }),
	},
	{
		name: "limit-request-line", live: true, group: groupLimits, help: "answer 414 to a longer request line; browsers and proxies hardly send longer ones", value: "8190", unit: "bytes",
		kind: sizeBetween(func(s *Settings) *int { return &s.LimitRequestLine }, 64, 1<<20),
	},
	{
		name: "limit-request-fields", live: true, group: groupLimits, help: "answer 431 to more header fields; browsers send about 20", value: "100",
		kind: number(func(s *Settings) *int { return &s.LimitRequestFields }, 1, 32768),
	},
	{
		name: "limit-request-field-size", live: true, hidden: []string{"limit-request-field_size"}, group: groupLimits,
		help: "answer 431 to a longer header field; a browser's cookies have 4096 bytes each", value: "8190", unit: "bytes",
		kind: sizeBetween(func(s *Settings) *int { return &s.LimitRequestFieldSize }, 64, 1<<20),
	},
	{
		name: "limit-request-header", live: true, group: groupLimits, value: "65536", unit: "bytes",
		help: "answer 431 to more in all header fields together; that much memory each client can claim before it is known",
		kind: sizeBetween(func(s *Settings) *int { return &s.LimitRequestHeader }, 64, 1<<24),
	},
	{
		name: "max-body-size", live: true, group: groupLimits, value: "0", unit: "bytes",
		help: "answer 413 to a larger request body, K, M and G are understood; 0: unlimited, as only the application knows what it takes",
		kind: size(func(s *Settings) *int64 { return &s.MaxBodySize }),
	},
	{
		name: "max-queue", live: true, group: groupLimits, value: "2048", unit: "requests",
		help: "answer 503 at once when this many requests wait for a worker; 0: unlimited",
		kind: number(func(s *Settings) *int { return &s.MaxQueue }, 0, 1<<20),
	},
	{
		name: "keep-alive-requests", live: true, group: groupLimits, value: "0", unit: "requests",
		help: "close a connection after so many; 0: unlimited, as a connection keeps nothing from one to the next",
		kind: number(func(s *Settings) *int { return &s.KeepAliveRequests }, 0, 1<<30),
	},
	{
		name: "max-connections", live: true, group: groupLimits, value: "16384",
		help: "answer 503 at once to more connections; idle ones of this number take about 160 MiB; 0: unlimited; what open files (ulimit -n) allow is the limit anyway",
		kind: number(func(s *Settings) *int { return &s.MaxConnections }, 0, 1<<24),
	},
	{
		name: "max-connections-per-ip", live: true, group: groupLimits, value: "0",
		help: "answer 429 at once to more connections from one IPv4 address or IPv6 /64; unix sockets and proxies (--forwarded-allow-ips) are exempt, the clients that the PROXY protocol names are not; 0: unlimited, as an address can be a whole company",
		kind: number(func(s *Settings) *int { return &s.MaxConnectionsPerIP }, 0, 1<<24),
	},
	{
		name: "user", short: "u", group: groupRights, help: "run the application as this user, a name or number; as root only",
		kind: text("USER", func(s *Settings) *string { return &s.User }),
	},
	{
		name: "group", short: "g", group: groupRights, help: "run the application as this group, a name or number, instead of the user's own",
		kind: text("GROUP", func(s *Settings) *string { return &s.Group }),
	},
	{
		name: "initgroups", group: groupRights, help: "add the other groups the user is a member of",
		kind: toggle(func(s *Settings) *bool { return &s.Initgroups }),
	},
	{
		name: "umask", short: "m", group: groupRights, help: "mode bits that new files, logs and unix sockets do not get, in octal",
		kind: umask(func(s *Settings) **int { return &s.Umask }),
	},
	{
		name: "nice", live: true, group: groupRights, help: "priority of the application, -20 (most) to 19; below 0 as root only",
		kind: optional(func(s *Settings) **int { return &s.Nice }, -20, 19),
	},
	{
		name: "chroot", group: groupRights,
		help: "the application's root folder, Python's library below it; --chdir and --pythonpath are below it too; as root only",
		kind: text("DIR", func(s *Settings) *string { return &s.Chroot }),
	},
	{
		name: "request-buffering", live: true, group: groupBodies, value: "true",
		help: "call the application once the whole request body is here, however slowly it comes; off: while it comes",
		kind: toggle(func(s *Settings) *bool { return &s.RequestBuffering }),
	},
	{
		name: "response-buffer", live: true, group: groupBodies, value: "64M", unit: "bytes",
		help: "keep so much of a response for a client that takes it slowly, so that the worker need not wait; 0: nothing",
		kind: size(func(s *Settings) *int64 { return &s.ResponseBuffer }),
	},
	{
		name: "tmp-dir", group: groupBodies,
		help: "keep bodies that are too large for memory in files here; they have no name; $TMPDIR or /tmp if not given",
		kind: text("DIR", func(s *Settings) *string { return &s.TempDir }),
	},
	{
		name: "access-logfile", group: groupLogs, help: `write a line for every request here, "-" is standard output`,
		kind: text("FILE", func(s *Settings) *string { return &s.AccessLogfile }),
	},
	{
		name: "error-logfile", hidden: []string{"log-file"}, group: groupLogs, help: `write everything else here, "-" is standard error`, value: "-",
		kind: text("FILE", func(s *Settings) *string { return &s.ErrorLogfile }),
	},
	{
		name: "log-level", live: true, group: groupLogs, help: "least level written: debug, info, warning, error or critical", value: "info",
		kind: level(func(s *Settings) *slog.Level { return &s.LogLevel }),
	},
	{
		name: "pid", short: "p", group: groupLogs, help: "write the process id here while running",
		kind: text("FILE", func(s *Settings) *string { return &s.PIDFile }),
	},
	{
		name: "name", live: true, short: "n", group: groupLogs, help: "name shown in process titles, instead of the application",
		kind: text("NAME", func(s *Settings) *string { return &s.Name }),
	},
}

// loopback is what default lists of peers hold.
const loopback = "127.0.0.0/8,::1"

// env is the variable that stands for the setting: GOWSGI_KEEP_ALIVE.
func (s *setting) env() string {
	return "GOWSGI_" + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// flag is the setting as written on the command line.
func (s *setting) flag() string { return "--" + s.name }

// settleWorkers makes the three numbers of workers fit each other: what was not
// given follows from what was.
func (s *Settings) settleWorkers() error {
	given := func(name string) bool { return s.Origins[name] != byDefault }
	if !given("min-workers") {
		s.MinWorkers = s.Workers
		if given("max-workers") && !given("workers") {
			s.MinWorkers = min(s.Workers, s.MaxWorkers)
		}
	}
	if !given("max-workers") {
		s.MaxWorkers = max(s.Workers, s.MinWorkers)
	}
	if s.MinWorkers > s.MaxWorkers {
		return fmt.Errorf("at least %d workers (%s) and at most %d (%s) cannot be kept both",
			s.MinWorkers, s.origin("min-workers", "workers"), s.MaxWorkers, s.origin("max-workers", "workers"))
	}
	if !given("workers") {
		s.Workers = s.MinWorkers
	}
	if s.Workers < s.MinWorkers || s.Workers > s.MaxWorkers {
		return fmt.Errorf("%s: %d is not between %d (--min-workers) and %d (--max-workers)",
			s.Origins["workers"], s.Workers, s.MinWorkers, s.MaxWorkers)
	}
	return nil
}

// settleHeader makes room for the longest field among all of them, unless it
// was said how much there is.
func (s *Settings) settleHeader() {
	if s.Origins["limit-request-header"] == "default" && s.LimitRequestFieldSize >= s.LimitRequestHeader {
		s.LimitRequestHeader += s.LimitRequestFieldSize
	}
}

// origin is where the value of a setting comes from, which has taken it over from
// another if it was not given itself.
func (s *Settings) origin(name, otherwise string) string {
	if from := s.Origins[name]; from != byDefault {
		return from
	}
	return s.Origins[otherwise]
}

// store keeps one given text, or each of the values it holds.
func (s *setting) store(settings *Settings, text string) error {
	for _, value := range s.kind.values(text) {
		if err := s.kind.store(settings, value); err != nil {
			if value != text {
				return fmt.Errorf("%q: %w", value, err)
			}
			return err
		}
	}
	return nil
}
