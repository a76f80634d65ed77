package tests

// Request smuggling (RFC 9112 section 11.2) through Debian's nginx and HAProxy:
// what they take for one request has to be one request here.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An attempt is what an attacker sends on one connection.
type attempt struct{ name, raw string }

const (
	post     = "POST /outer HTTP/1.1\r\nHost: a\r\n"
	smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
)

// codings are ways to write chunked that not everybody reads as that, or that
// not everybody reads as something else.
var codings = []string{
	"Transfer-Encoding: chunked",
	"Transfer-Encoding: CHUNKED",
	"Transfer-Encoding:chunked",
	"Transfer-Encoding:\tchunked",
	"Transfer-Encoding: chunked ",
	"Transfer-Encoding : chunked",
	"Transfer-Encoding\t: chunked",
	" Transfer-Encoding: chunked",
	"X: y\r\n Transfer-Encoding: chunked",
	"Transfer-Encoding:\r\n chunked",
	"Transfer-Encoding: xchunked",
	"Transfer-Encoding: x chunked",
	"Transfer-Encoding: \"chunked\"",
	"Transfer-Encoding: 'chunked'",
	"Transfer-Encoding: chunked;q=1",
	"Transfer-Encoding: ,chunked",
	"Transfer-Encoding: chunked,",
	"Transfer-Encoding: chunked, identity",
	"Transfer-Encoding: identity, chunked",
	"Transfer-Encoding: chunked, chunked",
	"Transfer-Encoding: gzip, chunked",
	"Transfer-Encoding: identity",
	"Transfer-Encoding:",
	"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
	"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
	"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
	"Transfer-Encoding: \x0bchunked",
	"Transfer-Encoding: \x00chunked",
	"Transfer-Encoding: chunked\x00",
	"Transfer-Encoding: \xa0chunked",
	"Transfer-Encoding: chunked\x7f",
	"X: y\nTransfer-Encoding: chunked",
	"X: y\rTransfer-Encoding: chunked",
	"X: y\r\rTransfer-Encoding: chunked",
	"\x00Transfer-Encoding: chunked",
	"Transfer_Encoding: chunked",
	"Transfer-Encoding\x00: chunked",
	"Connection: close, Transfer-Encoding\r\nTransfer-Encoding: chunked",
	"Content-Encoding: chunked",
}

// lengths are fields that leave open how long a body is; %d is its true length.
var lengths = []string{
	"Content-Length: 0\r\nContent-Length: %d",
	"Content-Length: %d\r\nContent-Length: 0",
	"Content-Length: %[1]d\r\nContent-Length: %[1]d",
	"Content-Length: 0, %d",
	"Content-Length: %d, 0",
	"Content-Length: %[1]d, %[1]d",
	"Content-Length: %d,",
	"Content-Length: +%d",
	"Content-Length: -%d",
	"Content-Length: 0%d",
	"Content-Length: 00000000000000000000%d",
	"Content-Length: 0x%x",
	"Content-Length: %d.0",
	"Content-Length: %de0",
	"Content-Length: 0 %d",
	"Content-Length: \x0b%d",
	"Content-Length: %d\x00",
	"Content-Length:\r\n %d",
	"Content-Length: 0\r\n %d",
	"Content-Length : %d",
	"Content-Length: 1844674407370955161%d",
	"Content_Length: %d",
	"X: y\nContent-Length: %d",
	"X: y\rContent-Length: %d",
	"Content-Length:",
	"Connection: close, Content-Length\r\nContent-Length: %d",
}

// chunks are bodies in chunked coding whose chunks not everybody finds.
var chunks = []string{
	"5;\nhello\r\n0\r\n\r\n" + smuggled,
	"5;a=\nhello\r\n0\r\n\r\n" + smuggled,
	"5;a\nxx\r\n" + "5\r\nhello\r\n0\r\n\r\n" + smuggled,
	"5;a=\"\r\nhello\"\r\n0\r\n\r\n" + smuggled,
	"5;a=b\rc\r\nhello\r\n0\r\n\r\n" + smuggled,
	"5;a=\x00\r\nhello\r\n0\r\n\r\n" + smuggled,
	"5 \r\nhello\r\n0\r\n\r\n" + smuggled,
	" 5\r\nhello\r\n0\r\n\r\n" + smuggled,
	"5\t;a\r\nhello\r\n0\r\n\r\n" + smuggled,
	"+5\r\nhello\r\n0\r\n\r\n" + smuggled,
	"-5\r\nhello\r\n0\r\n\r\n" + smuggled,
	"05\r\nhello\r\n00\r\n\r\n" + smuggled,
	"0x5\r\nhello\r\n0\r\n\r\n" + smuggled,
	"0x0\r\n\r\n" + smuggled,
	"5_\r\nhello\r\n0\r\n\r\n" + smuggled,
	"000000000000000000000000005\r\nhello\r\n0\r\n\r\n" + smuggled,
	"100000005\r\nhello\r\n0\r\n\r\n" + smuggled,
	"10000000000000005\r\nhello\r\n0\r\n\r\n" + smuggled,
	"fffffffffffffff5\r\nhello\r\n0\r\n\r\n" + smuggled,
	"5\nhello\r\n0\r\n\r\n" + smuggled,
	"5\rhello\r\n0\r\n\r\n" + smuggled,
	"5\r\nhello\n0\r\n\r\n" + smuggled,
	"5\r\nhello\r0\r\n\r\n" + smuggled,
	"5\r\nhello0\r\n\r\n" + smuggled,
	"5\r\nhello\r\n0\n\n" + smuggled,
	"5\r\nhello\r\n0\r\n\n" + smuggled,
	"5\r\nhello\r\n0\r\n\r" + smuggled,
	"5\r\nhello\r\n0\r\n" + smuggled,
	"5\r\nhello\r\n0\r\nContent-Length: 100\r\n\r\n" + smuggled,
	"5\r\nhello\r\n0\r\nX: y\n\r\n" + smuggled,
	"5\r\nhello\r\n0\r\nX: y\rZ: z\r\n\r\n" + smuggled,
	"5\r\nhello\r\n0\r\n X: y\r\n\r\n" + smuggled,
	"5\r\nhello\r\n\r\n" + smuggled,
	"\r\n5\r\nhello\r\n0\r\n\r\n" + smuggled,
	"0\r\n\r\n" + smuggled,
	"26\r\n" + smuggled + "\r\n0\r\n\r\n",
}

// attempts are those that the tables make, and single ones.
func attempts() (all []attempt) {
	add := func(name, format string, a ...any) {
		all = append(all, attempt{name, fmt.Sprintf(format, a...)})
	}
	hidden := "0\r\n\r\n" + smuggled
	chunk := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(smuggled), smuggled)
	for _, coding := range codings {
		add("CL.TE, "+coding, "%s%s\r\nContent-Length: %d\r\n\r\n%s", post, coding, len(hidden), hidden)
		add("TE.CL, "+coding, "%sContent-Length: 4\r\n%s\r\n\r\n%s", post, coding, chunk)
		add("TE, "+coding, "%s%s\r\n\r\n%s", post, coding, hidden)
		add("TE and HTTP/1.0, "+coding, "POST /outer HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n%s\r\n\r\n%s", coding, hidden)
	}
	for _, length := range lengths {
		field := length
		if strings.Contains(length, "%") {
			field = fmt.Sprintf(length, len(smuggled))
		}
		add("CL, "+length, "%s%s\r\n\r\n%s", post, field, smuggled)
		add("CL of a GET, "+length, "GET /outer HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n%s", field, smuggled)
	}
	for _, body := range chunks {
		add("chunks, "+body, "%sTransfer-Encoding: chunked\r\n\r\n%s", post, body)
	}
	add("LF", "%s", strings.ReplaceAll("GET /outer HTTP/1.1\r\nHost: a\r\n\r\n"+smuggled, "\r\n", "\n"))
	add("LF before the body", "POST /outer HTTP/1.1\r\nHost: a\r\nContent-Length: %d\n\n%s", len(smuggled), smuggled)
	add("CR", "%s", strings.ReplaceAll("GET /outer HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n", "\r")+smuggled)
	add("a request in a field", "GET /outer HTTP/1.1\r\nHost: a\r\nX: y\rGET /smuggled HTTP/1.1\rHost: a\r\n\r\n")
	add("a request in a target", "GET /outer\r\n\r\n%s", smuggled)
	add("a request in an escaped target", "GET /outer%%20HTTP/1.1%%0d%%0aHost:%%20a%%0d%%0a%%0d%%0aGET%%20/smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
	add("expected continue", "%sExpect: 100-continue\r\nContent-Length: %d\r\n\r\n%s", post, len(smuggled), smuggled)
	add("odd expectation", "%sExpect: y 100-continue\r\nContent-Length: %d\r\n\r\n%s", post, len(smuggled), smuggled)
	add("HEAD with a body", "HEAD /outer HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(smuggled), smuggled)
	add("upgrade", "GET /outer HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n%s", smuggled)
	add("websocket", "GET /outer HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\n\r\n%s", smuggled)
	add("CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n%s", smuggled)
	add("two hosts", "GET /outer HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n%s", smuggled)
	add("absolute target", "GET http://b/outer HTTP/1.1\r\nHost: a\r\n\r\n%s", smuggled)
	add("HTTP/0.9", "GET /outer\r\n%s", smuggled)
	add("HTTP/1.2", "POST /outer HTTP/1.2\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n%s", len(hidden), hidden)
	add("pipelined", "GET /outer HTTP/1.1\r\nHost: a\r\n\r\n%s", smuggled)
	return all
}

// A proxy is a front in front of the front.
type proxy struct {
	name string
	// program is looked for in Debian's places; command runs it by a
	// configuration and stays in the foreground.
	program string
	command func(config string) []string
	// config is its configuration: folder, upstream address. It has to listen at
	// FOLDER/proxy.sock, to keep connections to the upstream, and to log a line
	// "METHOD|TARGET|STATUS|WHERE" for each request, WHERE being "-" or beginning
	// with "<" when it was not passed on.
	config string
}

const nginxConfig = `
daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 64; }
http {
	log_format told '$request_method|$request_uri|$status|$upstream_addr';
	access_log %[1]s/told.log told;
	client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3;
	uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;
	upstream app { server %[2]s; keepalive 2; }
	server {
		listen unix:%[1]s/proxy.sock;
		location / {
			proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection "";
			proxy_ignore_client_abort on; proxy_next_upstream off;
			%[3]s
		}
		%[4]s
	}
}
`

const haproxyConfig = `
global
	log stdout format raw local0
defaults
	mode http
	log global
	timeout connect 10s
	timeout client 10s
	timeout server 10s
	http-reuse always
	retries 0
	log-format "%%HM|%%HU|%%ST|%%s"
frontend front
	bind unix@%[1]s/proxy.sock
	%[3]s
	default_backend app
backend app
	%[4]s
	server app %[2]s
`

func proxies() []proxy {
	nginx := func(config string) []string {
		return []string{"-e", filepath.Join(filepath.Dir(config), "error.log"), "-c", config}
	}
	haproxy := func(config string) []string { return []string{"-db", "-f", config} }
	with := func(config, first, second string) string {
		return strings.NewReplacer("%[3]s", first, "%[4]s", second).Replace(config)
	}
	return []proxy{
		{"nginx", "/usr/sbin/nginx", nginx, with(nginxConfig, "", "")},
		// As lenient as they can be told to be.
		{"nginx, lenient, streaming", "/usr/sbin/nginx", nginx,
			with(nginxConfig, "proxy_request_buffering off;", "ignore_invalid_headers off; underscores_in_headers on; merge_slashes off;")},
		{"HAProxy", "/usr/sbin/haproxy", haproxy, with(haproxyConfig, "", "")},
		{"HAProxy, lenient", "/usr/sbin/haproxy", haproxy,
			with(haproxyConfig, "option accept-invalid-http-request", "option accept-invalid-http-response")},
	}
}

// A runningProxy is one that passes requests on to a server.
type runningProxy struct {
	t       *testing.T
	folder  string
	logFile string
	read    int // bytes of the log that were taken
}

func (p *proxy) start(t *testing.T, upstream string) *runningProxy {
	t.Helper()
	if _, err := os.Stat(p.program); errors.Is(err, os.ErrNotExist) {
		t.Skipf("no %s here: install Debian's package", p.program)
	}
	folder, err := os.MkdirTemp("", "gowsgi-proxy-") // the test's name is in t.TempDir: HAProxy takes no comma
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	config := filepath.Join(folder, "config")
	if err := os.WriteFile(config, fmt.Appendf(nil, p.config, folder, upstream), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &runningProxy{t: t, folder: folder, logFile: filepath.Join(folder, "told.log")}
	output, err := os.OpenFile(r.logFile, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd := exec.Command(p.program, p.command(config)...)
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	r.await("the proxy listens", func() bool {
		conn, err := net.Dial("unix", r.socket())
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return r
}

func (r *runningProxy) socket() string { return filepath.Join(r.folder, "proxy.sock") }

// await waits for something that no event tells of.
func (r *runningProxy) await(what string, holds func() bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			log, _ := os.ReadFile(r.logFile)
			r.t.Fatalf("%s: not after %s; its log:\n%s", what, patience, log)
		}
	}
}

// attack sends what it is given, and no more, and reads until the end.
func (r *runningProxy) attack(raw string) (answers string) {
	r.t.Helper()
	conn, err := net.Dial("unix", r.socket())
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, raw) // it may be refused half-way
	_ = conn.(*net.UnixConn).CloseWrite()
	got, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		r.t.Fatalf("%q is not answered to the end within %s: %q", raw, patience, got)
	}
	return string(got)
}

// ask makes an honest request.
func (r *runningProxy) ask(target string) (c witnessed) {
	r.t.Helper()
	conn := dial(r.t, "unix", r.socket())
	defer conn.Close()
	conn.Send(head("GET "+target, "Host: honest", "Connection: close"))
	answer := conn.Read("GET")
	if err := json.Unmarshal([]byte(answer.Body), &c); err != nil || answer.Status != 200 {
		r.t.Fatalf("GET %s = %s %q, want 200 and a call", target, answer.Line(), answer.Body)
	}
	return c
}

// A forwarded request is one that a proxy says it has passed on.
type forwarded struct {
	request string // as the application is called
	served  bool   // else the proxy did not wait for it: the client had gone
}

// passedOn gives the requests that the proxy has passed on and that it knows no
// refusal of, up to the one with that target.
func (r *runningProxy) passedOn(last string) (requests []forwarded) {
	r.t.Helper()
	var lines []string
	r.await("the proxy logs "+last, func() bool {
		log, _ := os.ReadFile(r.logFile)
		end := strings.LastIndexByte(string(log), '\n') + 1
		lines = strings.Split(string(log[r.read:end]), "\n")
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "GET|"+last+"|") }) {
			return false
		}
		r.read = end
		return true
	})
	for _, line := range lines {
		part := strings.Split(line, "|")
		if len(part) != 4 || part[3] == "-" || part[3][0] == '<' {
			continue
		}
		switch part[2] {
		case "200", "-1", "499": // the last two are what HAProxy and nginx say of clients that have gone
			requests = append(requests, forwarded{part[0] + " " + asCalled(part[1]), part[2] == "200"})
		}
	}
	return requests
}

// isWhatCame tells whether calls are what a proxy has passed on.
func isWhatCame(calls []witnessed, told []forwarded) bool {
	for _, t := range told {
		if len(calls) > 0 && calls[0].Method+" "+calls[0].Target == t.request {
			calls = calls[1:]
		} else if t.served {
			return false
		}
	}
	return len(calls) == 0
}

// witnessed is a call, as pyapps/witness.py tells.
type witnessed struct{ Method, Target, Host, Body, Port string }

func TestSmuggling_OneRequestOfAProxyIsOneRequestHere(t *testing.T) {
	for _, p := range proxies() {
		t.Run(p.name, func(t *testing.T) {
			s := Start(t, "witness", "--keep-alive", "60")
			_, upstream := s.Address()
			r := p.start(t, upstream)
			direct := s.Dial()
			ports, calls, attacks := map[string]bool{}, 0, 0
			for i, a := range attempts() {
				answers := r.attack(a.raw)
				// Whoever comes next gets the answer to his own request, on the
				// connections that the attack has left.
				for n := range 2 {
					honest := fmt.Sprintf("/honest/%d/%d", i, n)
					if got := r.ask(honest); got.Target != honest || got.Method != "GET" || got.Host == "" || got.Body != "" {
						t.Fatalf("after %s: answer to GET %s = %+v", a.name, honest, got)
					}
				}
				told := r.passedOn(fmt.Sprintf("/honest/%d/1", i))
				direct.Send(head("GET /calls", "Host: tests"))
				var seen []witnessed
				if err := json.Unmarshal([]byte(direct.Read("GET").Body), &seen); err != nil {
					t.Fatal(err)
				}
				for _, c := range seen {
					ports[c.Port] = true
				}
				calls += len(seen)
				attacks += len(seen) - 2
				if !isWhatCame(seen, told) {
					t.Errorf("%s: the proxy has passed on %+v, the application was called with %+v\nsent %q\nanswers %q", a.name, told, seen, a.raw, answers)
				}
			}
			if attacks < len(attempts())/20 || len(ports) >= calls {
				t.Errorf("%d calls by attackers, %d connections for %d calls; want attacks that come through and connections used again",
					attacks, len(ports), calls)
			}
			t.Logf("%d attempts, %d calls by them, %d connections for %d calls", len(attempts()), attacks, len(ports), calls)
		})
	}
}

// asCalled writes a target as PATH_INFO has it: decoded, without an authority.
func asCalled(target string) string {
	return strings.NewReplacer("%20", " ", "%0d", "\r", "%0a", "\n", "http://b", "").Replace(target)
}
