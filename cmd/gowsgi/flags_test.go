package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"flag"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"gowsgi/cmd/failure"
	"gowsgi/wsgi/files"
	"gowsgi/wsgi/peers"
)

var update = flag.Bool("update", false, "rewrite the pages in docs that are made here")

func variables(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func parse(t *testing.T, args string, lookup func(string) (string, bool)) *Settings {
	t.Helper()
	settings, err := parseCommandLine(strings.Fields(args), lookup, &bytes.Buffer{}, "")
	if err != nil || settings == nil {
		t.Fatalf("parseCommandLine(%q) = %v, %v, want settings", args, settings, err)
	}
	return settings
}

func networks(t *testing.T, texts ...string) (list []peers.Network) {
	t.Helper()
	for _, text := range texts {
		network, err := peers.ParseNetwork(text)
		if err != nil {
			t.Fatalf("ParseNetwork(%q) = %v, want a network", text, err)
		}
		list = append(list, network)
	}
	return list
}

func TestCommandLine_GivesDefaults(t *testing.T) {
	got := parse(t, "wsgi", variables())
	got.Origins, got.said = nil, nil
	want := &Settings{
		App:     AppSpec{"wsgi", "application"},
		Workers: 1, Threads: 1, MinWorkers: 1, MaxWorkers: 1, WorkerIdleTimeout: time.Minute,
		StartupTimeout: time.Minute, RetryOnCrash: true,
		Binds: []Bind{{Host: "127.0.0.1", Port: 8000}}, Backlog: 2048,
		KeepAlive: 5 * time.Second, GracefulTimeout: 30 * time.Second,
		Timeout: 30 * time.Second, QueueTimeout: 30 * time.Second, MaxQueue: 2048,
		AfterResponseTimeout: 30 * time.Second, ReloadEngine: "auto",
		LimitRequestLine: 8190, LimitRequestFields: 100, LimitRequestFieldSize: 8190,
		LimitRequestHeader: 65536, MaxConnections: 16384,
		HeaderTimeout: 15 * time.Second, BodyTimeout: time.Minute, SendTimeout: time.Minute,
		MinRate: 240, MinRateGrace: 10 * time.Second,
		RequestBuffering: true, ResponseBuffer: 64 << 20,
		ErrorLogfile: "-", LogLevel: slog.LevelInfo,
		TLSMinVersion: tls.VersionTLS12, Protocols: []string{"h1", "h2"}, HTTP2Streams: 100,
		ForwardedAllowIPs: networks(t, "127.0.0.0/8", "::1"), ProxyAllowFrom: networks(t, "127.0.0.0/8", "::1"),
		RequestIDHeader: "X-Request-ID", HealthPath: new("/-"),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("parseCommandLine(wsgi) = %+v, want %+v", got, want)
	}
}

func TestCommandLine_UnderstandsEveryFlag(t *testing.T) {
	got := parse(t, "-w4 --retry-on-crash=off app:make() --threads=8 -b [::1]:0 -b=unix:/run/x.sock --bind :81,fd://5 --backlog 9"+
		" --reload --reload-engine poll --reload-extra-file a/*.yml,b --reload-exclude c --no-livereload"+
		" --chdir /srv --pythonpath a,b --pythonpath c:d -e A=1,2 --env B= --preload --keep-alive 500ms"+
		" --static /s/=x --static /t=y=z --static-max-age 31536000 --sendfile-root /media=/srv/m"+
		" --min-workers 0 --max-workers 9 --worker-idle-timeout 2m --startup-timeout 3m --max-requests 10 --max-requests-jitter 3"+
		" --max-worker-lifetime 4m --max-worker-lifetime-jitter 5m --max-worker-memory 1M --max-worker-memory-hard 2M"+
		" -t90 --after-response-timeout 4 --queue-timeout 0 --max-queue 7 --graceful-timeout 1m30s --limit-request-line 100 --limit-request-fields 7"+
		" --limit-request-field_size 200 --max-body-size 10M --access-logfile - --error-logfile e.log"+
		" --request-buffering=off --response-buffer 2M --tmp-dir /scratch"+
		" --header-timeout 1 --body-timeout 2 --send-timeout 3 --min-rate 4 --min-rate-grace 5 --limit-request-header 6000"+
		" --keep-alive-requests 7 --max-connections 8 --max-connections-per-ip 9"+
		" --log-level warning -p p.pid -n shop --certfile a.pem --certfile b.pem --keyfile a.key --keyfile b.key"+
		" --ca-certs ca.pem --cert-reqs 1 --tls-min-version 1.3 --http-protocols h2 --http2-max-concurrent-streams 5"+
		" --redirect-http :82 --redirect-port 444 -b https://h:83 -b http://fd://6"+
		" --socket-mode 0660 --socket-owner 0:7 --forwarded-allow-ips 10.0.0.0/8,::1 --forwarded-allow-ips * --proxy-protocol"+
		" --proxy-allow-from 192.0.2.1 --request-id-header X-Trace --root-path /shop/ --health-path /up/now/ --drain-delay 7", variables())
	got.Origins, got.said = nil, nil
	want := &Settings{
		Reload: true, ReloadEngine: "poll", ReloadExtraFiles: []string{"a/*.yml", "b"}, ReloadExcludes: []string{"c"}, NoLivereload: true,
		App:     AppSpec{"app", "make()"},
		Workers: 4, Threads: 8, MaxWorkers: 9, WorkerIdleTimeout: 2 * time.Minute, StartupTimeout: 3 * time.Minute,
		MaxRequests: 10, MaxRequestsJitter: 3, MaxWorkerLifetime: 4 * time.Minute, MaxWorkerLifetimeJitter: 5 * time.Minute,
		MaxWorkerMemory: 1 << 20, MaxWorkerMemoryHard: 2 << 20,
		Binds:   []Bind{{Host: "::1"}, {Path: "/run/x.sock"}, {Port: 81}, {FD: 5}, {Host: "h", Port: 83, Scheme: "https"}, {FD: 6, Scheme: "http"}},
		Backlog: 9, Chdir: "/srv", PythonPath: []string{"a", "b", "c", "d"},
		Env: []string{"A=1,2", "B="}, Preload: true,
		Static: []files.Mount{{Prefix: "/s", Dir: "x"}, {Prefix: "/t", Dir: "y=z"}}, StaticMaxAge: 365 * 24 * time.Hour,
		SendfileRoots: []files.Mount{{Prefix: "/media", Dir: "/srv/m"}},
		KeepAlive:     500 * time.Millisecond, GracefulTimeout: 90 * time.Second,
		Timeout: 90 * time.Second, MaxQueue: 7, AfterResponseTimeout: 4 * time.Second,
		LimitRequestLine: 100, LimitRequestFields: 7, LimitRequestFieldSize: 200, MaxBodySize: 10 << 20,
		HeaderTimeout: time.Second, BodyTimeout: 2 * time.Second, SendTimeout: 3 * time.Second,
		MinRate: 4, MinRateGrace: 5 * time.Second, LimitRequestHeader: 6000,
		KeepAliveRequests: 7, MaxConnections: 8, MaxConnectionsPerIP: 9,
		ResponseBuffer: 2 << 20, TempDir: "/scratch",
		AccessLogfile: "-", ErrorLogfile: "e.log", LogLevel: slog.LevelWarn, PIDFile: "p.pid", Name: "shop",
		Certfiles: []string{"a.pem", "b.pem"}, Keyfiles: []string{"a.key", "b.key"}, CACerts: "ca.pem",
		CertReqs: tls.VerifyClientCertIfGiven, TLSMinVersion: tls.VersionTLS13, Protocols: []string{"h2"}, HTTP2Streams: 5,
		Redirects: []Bind{{Port: 82}}, RedirectPort: 444,
		SocketMode: 0o660, SocketOwner: Owner{given: true, gid: 7}, ProxyProtocol: true,
		ForwardedAllowIPs: networks(t, "10.0.0.0/8", "::1", "*"), ProxyAllowFrom: networks(t, "192.0.2.1"),
		RequestIDHeader: "X-Trace", RootPath: "/shop", HealthPath: new("/up/now"), DrainDelay: 7 * time.Second,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("parseCommandLine(every flag) = %+v, want %+v", got, want)
	}
}

func TestCommandLine_FlagsStandOnEitherSideOfTheApplication(t *testing.T) {
	for _, args := range []string{"-w 4 a:b", "a:b -w 4", "--workers=4 -- a:b", "-w 2 a:b --workers 4"} {
		got := parse(t, args, variables())
		if got.Workers != 4 || got.App != (AppSpec{"a", "b"}) {
			t.Errorf("parseCommandLine(%q) = %d workers of %v, want 4 of a:b", args, got.Workers, got.App)
		}
	}
}

func TestCommandLine_TheNearestSourceCounts(t *testing.T) {
	all := variables("GOWSGI_WORKERS", "3", "WEB_CONCURRENCY", "2")
	common := variables("GOWSGI_WORKERS", "", "WEB_CONCURRENCY", "2")
	for _, c := range []struct {
		args   string
		lookup func(string) (string, bool)
		want   int
		origin string
	}{
		{"a -w 4", all, 4, "--workers"},
		{"a", all, 3, "GOWSGI_WORKERS"},
		{"a", common, 2, "WEB_CONCURRENCY"},
		{"a", variables("WEB_CONCURRENCY", ""), 1, "default"},
		{"a", variables(), 1, "default"},
	} {
		got := parse(t, c.args, c.lookup)
		if got.Workers != c.want || got.Origins["workers"] != c.origin {
			t.Errorf("workers = %d from %s, want %d from %s", got.Workers, got.Origins["workers"], c.want, c.origin)
		}
	}
}

func TestCommandLine_VariablesHoldListsAndToggles(t *testing.T) {
	got := parse(t, "a", variables("GOWSGI_BIND", ":1, unix:x", "GOWSGI_ENV", "A=1,B=2", "GOWSGI_PYTHONPATH", "a:b,c", "GOWSGI_PRELOAD", "yes", "PORT", "9"))
	want := []any{[]Bind{{Port: 1}, {Path: "x"}}, []string{"A=1", "B=2"}, []string{"a", "b", "c"}, true}
	if list := []any{got.Binds, got.Env, got.PythonPath, got.Preload}; !reflect.DeepEqual(list, want) {
		t.Errorf("lists from variables = %v, want %v", list, want)
	}
	if got := parse(t, "a", variables("PORT", "9")).Binds; !reflect.DeepEqual(got, []Bind{{Host: "0.0.0.0", Port: 9}}) {
		t.Errorf("binds with $PORT 9 = %v, want 0.0.0.0:9", got)
	}
}

func TestCommandLine_TakesWhatOtherServersAreToldOfProxies(t *testing.T) {
	got := parse(t, "a --request-id-header none", variables("SCRIPT_NAME", "/shop", "FORWARDED_ALLOW_IPS", "10.0.0.1, 10.0.0.2"))
	if got.RootPath != "/shop" || got.RequestIDHeader != "" || !reflect.DeepEqual(got.ForwardedAllowIPs, networks(t, "10.0.0.1", "10.0.0.2")) {
		t.Errorf("settings = %q, %q, %v; want /shop, no field, 10.0.0.1 and 10.0.0.2", got.RootPath, got.RequestIDHeader, got.ForwardedAllowIPs)
	}
}

func TestCommandLine_RefusesInOneLine(t *testing.T) {
	for args, want := range map[string]string{
		"--workers four a":          `--workers "four": not a whole number (want 1 or more)`,
		"-w 0 a":                    `--workers "0": out of range (want 1 to 1024)`,
		"-w -1 a":                   `--workers "-1": out of range (want 1 to 1024)`,
		"-w 99999999999999999999 a": `--workers "99999999999999999999": out of range (want 1 to 1024)`,
		"--threads 251 a":           `--threads "251": out of range (want 1 to 250)`,
		"--keep-alive soon a":       `--keep-alive "soon": not a duration (want seconds, or a form like 1m30s or 500ms)`,
		"--keep-alive NaN a":        `--keep-alive "NaN": out of range (want 0 to 24h)`,
		"--keep-alive 25h a":        `--keep-alive "25h": out of range (want 0 to 24h)`,
		"--max-body-size 1T a":      `--max-body-size "1T": not a size (want bytes, or a number with K, M or G)`,
		"--max-body-size -1 a":      `--max-body-size "-1": out of range (want 0 or more bytes, below 8 EiB)`,
		"--max-body-size 8589934592G a": `--max-body-size "8589934592G": ` +
			`out of range (want 0 or more bytes, below 8 EiB)`,
		"--static /s a":                   `--static "/s": no folder (want /PREFIX=DIR)`,
		"--static /=x a":                  `--static "/=x": the prefix would be everything (want /PREFIX=DIR)`,
		"--static s=x a":                  `--static "s=x": the prefix begins with no slash (want /PREFIX=DIR)`,
		"--static /a/../b=x a":            `--static "/a/../b=x": the prefix has a segment "..", which no path of a request has`,
		"--static-max-age 400000000 a":    `--static-max-age "400000000": out of range (want 0 to 10 years)`,
		"--log-level loud a":              `--log-level "loud": no such level (want debug, info, warning, error, critical)`,
		"-e A a":                          `--env "A": no value (want NAME=VALUE)`,
		"-e =1 a":                         `--env "=1": no name (want NAME=VALUE)`,
		"--preload=perhaps a":             `--preload "perhaps": neither true nor false`,
		"-b :1 -b http://:1 a":            `--bind: http://[::]:1 is there twice`,
		"-b unix:/s,unix:/s a":            `--bind: unix:/s is there twice`,
		"-b :1,nowhere a":                 `--bind ":1,nowhere": "nowhere": no port (` + bindForms + `)`,
		"-b , a":                          `--bind: no address given`,
		"--socket-mode 888 a":             `--socket-mode "888": not permissions (want octal digits, 1 to 777, such as 660)`,
		"--socket-mode 1777 a":            `--socket-mode "1777": not permissions (want octal digits, 1 to 777, such as 660)`,
		"--socket-owner : a":              `--socket-owner ":": nobody (want USER, USER:GROUP or :GROUP)`,
		"--forwarded-allow-ips ::1,x a":   `--forwarded-allow-ips "::1,x": "x": not an address or network (want 10.0.0.1, 10.0.0.0/8, ::1, fd00::/8, * or none)`,
		"--proxy-allow-from 10.1.0.0/8 a": `--proxy-allow-from "10.1.0.0/8": has bits behind its prefix; did you mean 10.0.0.0/8?`,
		"--request-id-header X:Y a":       `--request-id-header "X:Y": not a field's name (want letters, digits and "-", or none)`,
		"--request-id-header Host a":      `--request-id-header "Host": that field means something else already`,
		"--root-path shop a":              `--root-path "shop": not a mount point (want a path like /shop, without "?", "#", "//", "." or ".." in it)`,
		"--health-path up a":              `--health-path "up": begins with no slash (want a path like /- or /, or none)`,
		"--worker 4 a":                    `no flag --worker; did you mean --workers?`,
		"--wrkers=4 a":                    `no flag --wrkers; did you mean --workers?`,
		"-workers 4 a":                    `no flag -workers; did you mean --workers?`,
		"--max_body_size 4 a":             `no flag --max_body_size; did you mean --max-body-size?`,
		"--xyzzy a":                       `no flag --xyzzy; gowsgi --help lists them`,
		"-x a":                            `no flag -x; gowsgi --help lists them`,
		"a -w":                            `-w: no value given (want NUMBER)`,
		"--chdir --preload a":             `--chdir: no value given (want DIR)`,
		"":                                `no application given; usage: ` + usageLine,
		"a:b c":                           `unexpected argument "c" after the application "a:b"`,
		"a.py":                            `"a.py" is a file name; did you mean "a:application"?`,
	} {
		var out bytes.Buffer
		settings, err := parseCommandLine(strings.Fields(args), variables(), &out, "")
		if err == nil || err.Error() != want || exitCode(err) != failure.ExitUsage {
			t.Errorf("parseCommandLine(%q) = %v, %v (code %d), want error %q (code 2)", args, settings, err, exitCode(err), want)
		}
		if out.Len() > 0 {
			t.Errorf("parseCommandLine(%q) printed %q, want nothing", args, out.String())
		}
	}
}

func TestCommandLine_NamesTheVariableThatIsWrong(t *testing.T) {
	for name, want := range map[string]string{
		"GOWSGI_THREADS":  `GOWSGI_THREADS "x": not a whole number (want 1 or more)`,
		"WEB_CONCURRENCY": `WEB_CONCURRENCY "x": not a whole number (want 1 or more)`,
		"PORT":            `PORT "0.0.0.0:x": port not a whole number (want 0 or more)`,
	} {
		_, err := parseCommandLine([]string{"a"}, variables(name, "x"), &bytes.Buffer{}, "")
		if err == nil || err.Error() != want {
			t.Errorf("error with $%s = %v, want %q", name, err, want)
		}
	}
}

func TestCommandLine_AnswersHelpAndVersion(t *testing.T) {
	for args, want := range map[string]string{
		"--help":        helpText(),
		"-w 4 a:b -h":   helpText(),
		"--version":     "gowsgi version " + version + " (CPython 3.11.2)\n",
		"a --version":   "gowsgi version " + version + " (CPython 3.11.2)\n",
		"-w four a --h": "",
	} {
		var out bytes.Buffer
		settings, err := parseCommandLine(strings.Fields(args), variables(), &out, "(CPython 3.11.2)")
		if want == "" {
			if err == nil {
				t.Errorf("parseCommandLine(%q) = %v, want an error", args, settings)
			}
			continue
		}
		if settings != nil || err != nil || strings.TrimRight(out.String(), "\n") != strings.TrimRight(want, "\n") {
			t.Errorf("parseCommandLine(%q) = %v, %v, printed %q, want %q", args, settings, err, out.String(), want)
		}
	}
}

func TestTable_RowsAreCompleteAndDistinct(t *testing.T) {
	seen := make(map[string]bool)
	for i := range table {
		row := &table[i]
		if row.name == "" || row.group == "" || row.help == "" || row.kind.store == nil || !row.kind.toggle && row.kind.word == "" {
			t.Errorf("row %d (%q) = %+v, want name, group, help and kind", i, row.name, row)
		}
		for _, name := range append([]string{row.name, row.short}, row.hidden...) {
			if name != "" && seen[name] {
				t.Errorf("flag name %q is used twice, want once", name)
			}
			seen[name] = true
		}
		if help := helpText(); !strings.Contains(help, "  "+row.spelling()+"\n") {
			t.Errorf("helpText() lacks %q", row.spelling())
		}
	}
}

func TestReportExit_SaysWhatFailedAndWhatToDo(t *testing.T) {
	for _, c := range []struct {
		err  error
		line string
		code int
	}{
		{nil, "", 0},
		{errors.New("odd\nthing"), "gowsgi: error: odd\\nthing [GW019]\ngowsgi: help: " + failure.Unexpected.Help() + "\n", 1},
		{failure.Errorf(failure.CannotListen, "port %d", 1), "gowsgi: error: port 1 [GW050]\ngowsgi: help: " + failure.CannotListen.Help() + "\n", 5},
		{&exitError{4, failure.Errorf(failure.CannotServe, "it")}, "gowsgi: error: it [GW049]\ngowsgi: help: " + failure.CannotServe.Help() + "\n", 4},
		{&exitError{6, errReported}, "", 6},
		{errors.Join(failure.Errorf(failure.ImportRaised, "no module")), "gowsgi: error: no module [GW030]\ngowsgi: help: " + failure.ImportRaised.Help() + "\n", 3},
	} {
		var out bytes.Buffer
		if code := reportExit(&out, c.err); code != c.code || out.String() != c.line {
			t.Errorf("reportExit(%v) = %d, %q, want %d, %q", c.err, code, out.String(), c.code, c.line)
		}
	}
}

func TestCommandLine_MakesTheNumbersOfWorkersFit(t *testing.T) {
	for args, want := range map[string][3]int{ // at first, least, most
		"":                                     {1, 1, 1},
		"-w 4":                                 {4, 4, 4},
		"--max-workers 4":                      {1, 1, 4},
		"--min-workers 0":                      {0, 0, 1},
		"--min-workers 3":                      {3, 3, 3},
		"--min-workers 2 --max-workers 6":      {2, 2, 6},
		"-w 4 --min-workers 2 --max-workers 6": {4, 2, 6},
		"-w 4 --min-workers 2":                 {4, 2, 4},
		"-w 4 --max-workers 6":                 {4, 4, 6},
	} {
		s := parse(t, args+" wsgi", variables())
		if got := [3]int{s.Workers, s.MinWorkers, s.MaxWorkers}; got != want {
			t.Errorf("parseCommandLine(%q): workers = %v, want %v", args, got, want)
		}
	}
	for _, args := range []string{"-w 4 --max-workers 2", "--min-workers 3 --max-workers 2", "-w 1 --min-workers 2", "-w 9 --min-workers 2 --max-workers 6"} {
		_, err := parseCommandLine(strings.Fields(args+" wsgi"), variables(), &bytes.Buffer{}, "")
		if exitCode(err) != failure.ExitUsage {
			t.Errorf("parseCommandLine(%q) = %v, want a usage error", args, err)
		}
	}
}
