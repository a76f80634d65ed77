package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gowsgi/cmd/failure"
)

func openTestErrorLog(t *testing.T, level slog.Level) (*ErrorLog, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "error.log")
	log, err := openErrorLog(path, level)
	if err != nil {
		t.Fatalf("openErrorLog(%q) = %v, want a log", path, err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return log, path
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestErrorLog_WritesRecordsInOneShape(t *testing.T) {
	log, path := openTestErrorLog(t, slog.LevelInfo)
	at := time.Date(2026, 11, 21, 4, 18, 0, 0, time.UTC)
	record := slog.NewRecord(at, slog.LevelInfo, "worker ready", 0)
	record.AddAttrs(
		slog.Int("pid", 7), slog.String("app", "a b"), slog.Duration("after", time.Second),
		slog.Group("g", slog.Bool("x", true)), slog.Attr{}, slog.Time("at", at), slog.String("none", ""))
	if err := log.Logger().With("gen", 1).WithGroup("w").With("n", 2).Handler().Handle(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("[2026-11-21 04:18:00 +0000] [%d] [INFO] worker ready gen=1 w.n=2 w.pid=7 w.app=\"a b\""+
		" w.after=1s w.g.x=true w.at=2026-11-21T04:18:00Z w.none=\"\"\n", os.Getpid())
	if got := content(t, path); got != want {
		t.Errorf("log = %q, want %q", got, want)
	}
}

func TestErrorLog_DropsWhatIsBelowItsLevel(t *testing.T) {
	log, path := openTestErrorLog(t, slog.LevelWarn)
	logger := log.Logger()
	logger.Info("no")
	logger.Warn("yes")
	logger.Log(t.Context(), levelCritical, "very")
	got := regexp.MustCompile(`(?m)^\[[^]]+\] \[\d+\] `).ReplaceAllString(content(t, path), "")
	if want := "[WARNING] yes\n[CRITICAL] very\n"; got != want {
		t.Errorf("log at level warning = %q, want %q", got, want)
	}
}

func TestErrorLog_CannotBeForged(t *testing.T) {
	log, path := openTestErrorLog(t, slog.LevelInfo)
	log.Logger().Info("a\r\n[x]\x1b[2J\u202e\xff", "k\nk", "v\nv", "plain", "größe")
	got := content(t, path)
	if want := `[INFO] a\r\n[x]\x1b[2J\u202e\xff "k\nk"="v\nv" plain=größe` + "\n"; !strings.HasSuffix(got, want) || strings.Count(got, "\n") != 1 {
		t.Errorf("log = %q, want one line ending with %q", got, want)
	}
}

func TestErrorLog_RawKeepsTextAndEndsItsLine(t *testing.T) {
	log, path := openTestErrorLog(t, slog.LevelInfo)
	log.Raw([]byte("Traceback:\n  x\n"))
	log.Raw(nil)
	log.Raw([]byte("no end"))
	if got, want := content(t, path), "Traceback:\n  x\nno end\n"; got != want {
		t.Errorf("log = %q, want %q", got, want)
	}
}

func TestErrorLog_ReopenFollowsARotation(t *testing.T) {
	log, path := openTestErrorLog(t, slog.LevelInfo)
	log.Raw([]byte("old\n"))
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	log.Raw([]byte("still old\n"))
	if err := log.Reopen(); err != nil {
		t.Fatalf("Reopen() = %v, want nil", err)
	}
	log.Raw([]byte("new\n"))
	if got := content(t, path+".1") + "|" + content(t, path); got != "old\nstill old\n|new\n" {
		t.Errorf("old|new file = %q, want the lines after Reopen in the new one", got)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o137 != 0 {
		t.Errorf("mode of the log = %v, %v, want nothing beyond 0640", info.Mode(), err)
	}
}

func TestErrorLog_KeepsTheOldFileWhenReopenFails(t *testing.T) {
	log, path := openTestErrorLog(t, slog.LevelInfo)
	folder := filepath.Dir(path)
	if err := os.Rename(folder, folder+".gone"); err != nil {
		t.Fatal(err)
	}
	if err := log.Reopen(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Reopen() without the folder = %v, want %v", err, os.ErrNotExist)
	}
	log.Raw([]byte("kept\n"))
	if got := content(t, folder+".gone/error.log"); got != "kept\n" {
		t.Errorf("old file = %q, want the line", got)
	}
}

func TestOpenErrorLog_SaysWhichFileAndExits7(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no", "error.log")
	_, err := openErrorLog(path, slog.LevelInfo)
	want := fmt.Sprintf("cannot write the log file %q: no such file or directory: the folder %s does not exist", path, filepath.Dir(path))
	if err == nil || err.Error() != want || exitCode(err) != failure.ExitFile {
		t.Errorf("openErrorLog(%q) = %v (code %d), want %q (code 7)", path, err, exitCode(err), want)
	}
}

// swapDescriptor lets the log write to fd, as if the file had turned into it.
func swapDescriptor(file *logFile, fd int) (old int) {
	file.mu.Lock()
	defer file.mu.Unlock()
	old, file.fd = file.fd, fd
	return old
}

func fullDevice(t *testing.T) int {
	t.Helper()
	fd, err := unix.Open("/dev/full", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func TestErrorLog_CountsWhatAFullDiskLost(t *testing.T) {
	log, path := openTestErrorLog(t, slog.LevelInfo)
	works := swapDescriptor(log.file, fullDevice(t))
	log.Raw([]byte("one\ntwo\n"))
	log.Logger().Info("three")
	swapDescriptor(log.file, works)
	log.Raw([]byte("four\n"))
	log.Raw([]byte("five\n"))
	got := regexp.MustCompile(`(?m)^\[[^]]+\] \[\d+\] `).ReplaceAllString(content(t, path), "")
	want := "four\n[WARNING] log lines were lost lines=3 reason=\"no space left on device\" [GW074]\nfive\n"
	if got != want {
		t.Errorf("log after a full disk = %q, want %q", got, want)
	}
}

func TestErrorLog_SurvivesAClosedPipe(t *testing.T) {
	log, path := openTestErrorLog(t, slog.LevelInfo)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(pipe[0])
	works := swapDescriptor(log.file, pipe[1])
	log.Raw([]byte("lost\n"))
	swapDescriptor(log.file, works)
	_ = unix.Close(pipe[1])
	log.Raw([]byte("back\n"))
	if got := content(t, path); !strings.Contains(got, "back\n") || !strings.Contains(got, `lines=1 reason="broken pipe"`) {
		t.Errorf("log after a closed pipe = %q, want the line and the count", got)
	}
}

func TestLogFile_StartsANewLineAfterATornOne(t *testing.T) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	capacity, err := unix.FcntlInt(uintptr(pipe[1]), unix.F_SETPIPE_SZ, 4096)
	if err != nil {
		t.Fatal(err)
	}
	file := &logFile{fd: pipe[1]}
	long := strings.Repeat("x", 2*capacity) + "\n"
	if _, ok := file.write([]byte(long)); ok || !file.torn || file.lost != 1 {
		t.Fatalf("write(more than the pipe takes): torn = %v, lost = %d, want true, 1", file.torn, file.lost)
	}
	drain := make([]byte, 4*capacity)
	if _, err := unix.Read(pipe[0], drain); err != nil {
		t.Fatal(err)
	}
	back, ok := file.write([]byte("next\n"))
	n, err := unix.Read(pipe[0], drain)
	if got := string(drain[:max(n, 0)]); !ok || back.lost != 1 || got != "\nnext\n" {
		t.Errorf("after a torn line: read %q, %v, told %+v, want \"\\nnext\\n\" and one lost line", got, err, back)
	}
}

func openTestAccessLog(t *testing.T) (*AccessLog, string, string) {
	t.Helper()
	errorLog, errorPath := openTestErrorLog(t, slog.LevelInfo)
	path := filepath.Join(t.TempDir(), "access.log")
	log, err := openAccessLog(path, errorLog.Logger())
	if err != nil {
		t.Fatalf("openAccessLog(%q) = %v, want a log", path, err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return log, path, errorPath
}

func entry() *AccessEntry {
	return &AccessEntry{
		RemoteAddr: "192.0.2.7",
		Time:       time.Date(2026, 11, 21, 4, 18, 0, 0, time.FixedZone("", 3600)),
		Method:     []byte("GET"), Target: []byte("/a?b=c"), Protocol: []byte("HTTP/1.1"),
		Status: 200, Bytes: 1234, Referer: []byte("http://x/"), Agent: []byte("curl/8"),
		ID: []byte("00c0ffee"),
	}
}

const entryLine = `192.0.2.7 - - [21/Nov/2026:04:18:00 +0100] "GET /a?b=c HTTP/1.1" 200 1234 "http://x/" "curl/8" 00c0ffee` + "\n"

func TestAccessLog_WritesTheCombinedFormat(t *testing.T) {
	log, path, _ := openTestAccessLog(t)
	log.Log(entry())
	log.Log(&AccessEntry{Time: entry().Time.Add(time.Second), Status: 400})
	log.Flush()
	want := entryLine + `- - - [21/Nov/2026:04:18:01 +0100] "-" 400 0 "-" "-" -` + "\n"
	if got := content(t, path); got != want {
		t.Errorf("access log = %q, want %q", got, want)
	}
}

func TestAccessLog_CannotBeForged(t *testing.T) {
	log, path, _ := openTestAccessLog(t)
	e := entry()
	e.Target = []byte("/\"\\\r\n\x00\x7f\xc3\xa4")
	e.Agent = []byte("x\" 200 \"\n")
	log.Log(e)
	log.Flush()
	want := `192.0.2.7 - - [21/Nov/2026:04:18:00 +0100] "GET /\"\\\x0d\x0a\x00\x7f\xc3\xa4 HTTP/1.1" 200 1234 "http://x/" "x\" 200 \"\x0a" 00c0ffee` + "\n"
	if got := content(t, path); got != want {
		t.Errorf("access log = %q, want %q", got, want)
	}
}

func TestAccessLog_AllocatesNothingPerLine(t *testing.T) {
	log, _, _ := openTestAccessLog(t)
	e := entry()
	if got := testing.AllocsPerRun(100, func() { log.Log(e) }); got != 0 {
		t.Errorf("allocations of Log = %v, want 0", got)
	}
}

// A named pipe makes waiting for the writer an event instead of a guess.
func TestAccessLog_WritesByItselfSoon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(reader)
	errorLog, _ := openTestErrorLog(t, slog.LevelInfo)
	log, err := openAccessLog(path, errorLog.Logger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	log.Log(entry())
	const patience = 30_000 // milliseconds; it takes 100
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(reader), Events: unix.POLLIN}}, patience); n != 1 {
		t.Fatalf("Poll(access log) = %d, %v, want the line", n, err)
	}
	buffer := make([]byte, 4096)
	n, err := unix.Read(reader, buffer)
	if got := string(buffer[:max(n, 0)]); got != entryLine {
		t.Errorf("access log without Flush = %q, %v, want %q", got, err, entryLine)
	}
}

func TestAccessLog_LosesNothingAtReopenAndClose(t *testing.T) {
	log, path, _ := openTestAccessLog(t)
	const lines = 5000 // several buffers full
	for range lines {
		log.Log(entry())
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := log.Reopen(); err != nil {
		t.Fatalf("Reopen() = %v, want nil", err)
	}
	log.Log(entry())
	if err := log.Close(); err != nil {
		t.Fatalf("Close() = %v, want nil", err)
	}
	if got := strings.Count(content(t, path+".1"), entryLine); got != lines {
		t.Errorf("lines before Reopen = %d, want %d", got, lines)
	}
	if got := content(t, path); got != entryLine {
		t.Errorf("file after Reopen = %q, want %q", got, entryLine)
	}
	if err := log.Close(); err != nil {
		t.Errorf("second Close() = %v, want nil", err)
	}
}

func TestAccessLog_TellsTheErrorLogWhatWasLost(t *testing.T) {
	log, path, errorPath := openTestAccessLog(t)
	works := swapDescriptor(log.file, fullDevice(t))
	log.Log(entry())
	log.Log(entry())
	log.Flush()
	swapDescriptor(log.file, works)
	log.Log(entry())
	log.Flush()
	if got := content(t, path); got != entryLine {
		t.Errorf("access log after a full disk = %q, want %q", got, entryLine)
	}
	want := `[WARNING] access log lines were lost lines=2 reason="no space left on device" [GW074]` + "\n"
	if got := content(t, errorPath); !strings.HasSuffix(got, want) {
		t.Errorf("error log = %q, want it to end with %q", got, want)
	}
}
