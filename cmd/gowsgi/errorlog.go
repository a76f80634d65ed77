package main

// The error log: what gowsgi itself has to say, and what workers write to their
// standard error, one after the other in one file.

import (
	"context"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gowsgi/cmd/failure"
)

// levelCritical is above slog's own levels: the server cannot go on.
const levelCritical = slog.LevelError + 4

// levels are those of --log-level, with their names in the log.
var levels = []struct {
	name  string
	level slog.Level
}{
	{"DEBUG", slog.LevelDebug},
	{"INFO", slog.LevelInfo},
	{"WARNING", slog.LevelWarn},
	{"ERROR", slog.LevelError},
	{"CRITICAL", levelCritical},
}

// ErrorLog writes records as gunicorn does, one line each:
//
//	[2026-11-21 04:18:00 +0000] [4711] [INFO] message key=value
//	[2026-11-21 04:18:01 +0000] [4711] [ERROR] message key=value [GW090]
//
// Line feeds and other control characters inside a record are written as escape
// sequences, so that nothing logged can look like another record.
type ErrorLog struct {
	file  *logFile
	level slog.LevelVar
	pid   int
}

// openErrorLog opens path ("-" is standard error) for records of level and
// above. The error has exit status 7.
func openErrorLog(path string, level slog.Level) (*ErrorLog, error) {
	file, err := openLogFile(path, stderr)
	if err != nil {
		return nil, err
	}
	l := &ErrorLog{file: file, pid: os.Getpid()}
	l.SetLevel(level)
	return l, nil
}

// SetLevel drops records below level from now on.
func (l *ErrorLog) SetLevel(level slog.Level) { l.level.Set(level) }

// Logger gives the way to write records. Loggers share the log and its lock.
func (l *ErrorLog) Logger() *slog.Logger { return slog.New(&recordHandler{log: l}) }

// Raw writes text as it is: lines of a worker's standard error, a traceback. The
// text is kept together, and ended with a line feed where it has none.
func (l *ErrorLog) Raw(text []byte) {
	if len(text) == 0 {
		return
	}
	if text[len(text)-1] != '\n' {
		text = append(text[:len(text):len(text)], '\n')
	}
	l.write(text)
}

// Reopen opens the file again after a log rotation has renamed it. On an error
// the old file stays in use.
func (l *ErrorLog) Reopen() error { return l.file.reopen() }

// Close closes the file. Nothing may be logged afterwards.
func (l *ErrorLog) Close() error { return l.file.close() }

// write appends whole lines, and tells of lines lost before as soon as it can.
func (l *ErrorLog) write(lines []byte) {
	if back, ok := l.file.write(lines); ok {
		l.Logger().Warn("log lines were lost", failure.Key, failure.LogLinesLost, "lines", back.lost, "reason", back.reason)
	}
}

// recordHandler is the log's slog.Handler: the log, and what With added.
type recordHandler struct {
	log    *ErrorLog
	attrs  string // formatted, each with a space in front
	prefix string // of keys, from WithGroup: "a.b."
}

// Enabled tells whether records of the level are written.
func (h *recordHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.log.level.Level()
}

// Handle writes one record with one write. Its error is always nil: a line that
// cannot be written is counted, see logFile.
func (h *recordHandler) Handle(_ context.Context, record slog.Record) error {
	line := make([]byte, 0, 256)
	line = append(line, '[')
	at := record.Time
	if at.IsZero() {
		at = time.Now()
	}
	line = at.AppendFormat(line, "2006-01-02 15:04:05 -0700")
	line = append(line, "] ["...)
	line = strconv.AppendInt(line, int64(h.log.pid), 10)
	line = append(line, "] ["...)
	line = append(line, levelName(record.Level)...)
	line = append(line, "] "...)
	line = append(line, escapeControls(record.Message)...)
	line = append(line, h.attrs...)
	traceback, code := "", failure.Code(0)
	record.Attrs(func(attr slog.Attr) bool {
		if attr.Key == tracebackKey {
			traceback = attr.Value.String()
		} else if c, ok := attr.Value.Any().(failure.Code); ok && attr.Key == failure.Key {
			code = c
		} else {
			line = appendAttr(line, h.prefix, attr)
		}
		return true
	})
	if code != 0 {
		line = append(line, code.Tag("")...)
	}
	h.log.write(appendTraceback(append(line, '\n'), traceback))
	return nil
}

// tracebackKey is the attribute that is written below its record, line by line,
// because nobody can read a traceback that is escaped into one.
const tracebackKey = "traceback"

// appendTraceback appends each line of text, indented: an exception's message
// can hold line feeds, and must not be able to pass for a record.
func appendTraceback(line []byte, text string) []byte {
	for part := range strings.Lines(text) {
		line = append(line, "  "...)
		line = append(line, escapeControls(strings.TrimSuffix(part, "\n"))...)
		line = append(line, '\n')
	}
	return line
}

// WithAttrs gives a handler that adds attrs to every record.
func (h *recordHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	text := []byte(h.attrs)
	for _, attr := range attrs {
		text = appendAttr(text, h.prefix, attr)
	}
	with.attrs = string(text)
	return &with
}

// WithGroup gives a handler that puts name and a dot before the keys to come.
func (h *recordHandler) WithGroup(name string) slog.Handler {
	with := *h
	if name != "" {
		with.prefix += name + "."
	}
	return &with
}

// levelName is the name of the highest level that is not above level.
func levelName(level slog.Level) string {
	name := levels[0].name
	for _, known := range levels {
		if level >= known.level {
			name = known.name
		}
	}
	return name
}

// appendAttr appends " key=value", or every attribute of a group. As slog asks,
// an empty attribute is left out and a group without a name is inlined.
func appendAttr(line []byte, prefix string, attr slog.Attr) []byte {
	value := attr.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		if attr.Key != "" {
			prefix += attr.Key + "."
		}
		for _, inner := range value.Group() {
			line = appendAttr(line, prefix, inner)
		}
		return line
	}
	if attr.Equal(slog.Attr{}) {
		return line
	}
	line = append(line, ' ')
	line = append(line, quoteWhereNeeded(prefix+attr.Key)...)
	line = append(line, '=')
	text := value.String()
	if value.Kind() == slog.KindTime {
		text = value.Time().Format(time.RFC3339Nano)
	}
	return append(line, quoteWhereNeeded(text)...)
}

// quoteWhereNeeded puts quotes around text that would not read as one value.
func quoteWhereNeeded(text string) string {
	if text == "" || strings.ContainsAny(text, " =\"\\") || escapeControls(text) != text {
		return strconv.Quote(text)
	}
	return text
}

// escapeControls writes control characters, characters that cannot be seen and
// bytes that are not UTF-8 as Go escape sequences: \n, \x1b, \u202e.
func escapeControls(text string) string {
	if !strings.ContainsFunc(text, cannotBeShown) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		if cannotBeShown(r) {
			quoted := strconv.Quote(text[:size])
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteString(text[:size])
		}
		text = text[size:]
	}
	return b.String()
}

// cannotBeShown takes U+FFFD too: it is how a byte that is not UTF-8 is decoded.
func cannotBeShown(r rune) bool {
	return r == utf8.RuneError || !unicode.IsPrint(r)
}
