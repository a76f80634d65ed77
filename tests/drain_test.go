package tests

// What --drain-delay is for: a balancer learns that a server is about to leave
// while that server still answers.

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// balancer is HAProxy before two servers, without anything that would hide a failure.
const balancer = `
defaults
    mode http
    retries 0
    timeout connect 5s
    timeout client 20s
    timeout server 20s
frontend clients
    bind 127.0.0.1:%d
    default_backend servers
backend servers
    balance roundrobin
    option httpchk GET /-/readyz
    default-server check inter 100ms fall 1 rise 1
    server one %s
    server two %s
`

func TestDrainDelay_LosesNoRequestBehindABalancer(t *testing.T) {
	one, two := Start(t, "hello:pid", "--drain-delay", "10m"), Start(t, "hello:pid")
	port := freePort(t)
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	writeFile(t, file, fmt.Sprintf(balancer, port, one.Host(), two.Host()))
	runProxy(t, port, "haproxy", "-db", "-f", file)
	leaves := one.workerPIDs()[0]
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	ask := func() (pid int) {
		r, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
		if err != nil {
			t.Errorf("GET / through the balancer: %v", err)
			return 0
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if r.StatusCode != 200 || err != nil {
			t.Errorf("GET / through the balancer = %s %q, %v, want a pid", r.Status, text, err)
		}
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text))) // 0 is nobody's
		return pid
	}
	await(t, "an answer of each", func() bool { return ask() == leaves && ask() != leaves })
	var asked atomic.Int32
	finish, finished := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		for !t.Failed() {
			select {
			case <-finish:
				return
			default:
				ask()
				asked.Add(1)
			}
		}
	}()
	one.Signal(unix.SIGTERM)
	one.WaitFor("--drain-delay")
	inARow := 0
	await(t, "the balancer to go to the other one only", func() bool {
		if ask() == leaves {
			inARow = 0
		} else {
			inARow++
		}
		return inARow == 20
	})
	one.Signal(unix.SIGTERM)
	if code := one.ExitCode(stopPatience); code != 0 {
		t.Errorf("exit code = %d, want 0", code)
	}
	ask()
	close(finish)
	<-finished
	if asked.Load() == 0 {
		t.Error("no request was sent meanwhile")
	}
}
