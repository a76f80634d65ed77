package main

// The access log: one line for every request, in the combined format that Apache
// made common and gunicorn writes by default, with the request's id behind it.

import (
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"gowsgi/cmd/failure"
)

// AccessEntry is what the access log has to know of one request. The log keeps
// nothing of it after Log has returned.
type AccessEntry struct {
	RemoteAddr string    // the client's address without port; empty on unix sockets
	Time       time.Time // when the request was received
	// The three parts of the request line, as received. All empty when the
	// request was too broken to have one.
	Method, Target, Protocol []byte
	Status                   int
	Bytes                    int64 // of the body that was sent
	Referer, Agent           []byte
	Duration                 time.Duration // from the first byte received to the last one sent
	ID                       []byte        // of the request
}

const (
	accessFlushSize  = 32 << 10               // write as soon as this much is held
	accessFlushDelay = 100 * time.Millisecond // or when the oldest line is this old
	accessHeldLimit  = 1 << 20                // lines beyond are lost: the file takes nothing
)

var errLogStalled = errors.New("the log file takes nothing")

// AccessLog collects lines and writes them together, from a goroutine of its
// own: a slow disk delays no response. Its methods may be called at the same
// time from several goroutines.
type AccessLog struct {
	file   *logFile
	errors *slog.Logger

	mu     sync.Mutex
	held   []byte // whole lines not yet written
	second int64  // that stamp stands for, in Unix time
	stamp  []byte // [21/Nov/2026:04:18:00 +0000]

	started chan struct{}      // the first line since the last write is held
	full    chan struct{}      // accessFlushSize is reached
	asked   chan chan struct{} // write now, and close the channel sent
	closing chan struct{}
	closed  chan struct{}
}

// openAccessLog opens path ("-" is standard output). Lines that were lost are
// told to errors once writing works again. The error has exit status 7.
func openAccessLog(path string, errors *slog.Logger) (*AccessLog, error) {
	file, err := openLogFile(path, stdout)
	if err != nil {
		return nil, err
	}
	log := &AccessLog{
		file:    file,
		errors:  errors,
		held:    make([]byte, 0, 2*accessFlushSize),
		started: make(chan struct{}, 1),
		full:    make(chan struct{}, 1),
		asked:   make(chan chan struct{}),
		closing: make(chan struct{}),
		closed:  make(chan struct{}),
	}
	go log.run()
	return log, nil
}

// Log adds the line for e. It allocates nothing and never waits for the file. It
// must not be called after Close.
func (l *AccessLog) Log(e *AccessEntry) {
	l.mu.Lock()
	if len(l.held) >= accessHeldLimit {
		l.mu.Unlock()
		l.file.add(1, errLogStalled)
		return
	}
	before := len(l.held)
	l.held = l.appendLine(l.held, e)
	after := len(l.held)
	l.mu.Unlock()
	if before == 0 {
		notify(l.started)
	}
	if before < accessFlushSize && after >= accessFlushSize {
		notify(l.full)
	}
}

// Flush returns when every line logged before the call was written, or lost.
func (l *AccessLog) Flush() {
	done := make(chan struct{})
	select {
	case l.asked <- done:
		<-done
	case <-l.closed:
	}
}

// Reopen opens the file again after a log rotation has renamed it; lines logged
// before go to the old one. On an error the old file stays in use.
func (l *AccessLog) Reopen() error {
	l.Flush()
	return l.file.reopen()
}

// Close writes what is held and closes the file. Only the first call does.
func (l *AccessLog) Close() error {
	select {
	case <-l.closed:
		return nil
	default:
	}
	close(l.closing)
	<-l.closed
	return l.file.close()
}

func notify(channel chan struct{}) {
	select {
	case channel <- struct{}{}:
	default: // it knows already
	}
}

// run is the goroutine that writes.
func (l *AccessLog) run() {
	defer close(l.closed)
	spare := make([]byte, 0, 2*accessFlushSize)
	timer := time.NewTimer(accessFlushDelay)
	timer.Stop()
	for {
		select {
		case <-l.started:
			timer.Reset(accessFlushDelay)
			continue
		case <-timer.C:
			spare = l.flush(spare)
		case <-l.full:
			spare = l.flush(spare)
		case done := <-l.asked:
			spare = l.flush(spare)
			close(done)
		case <-l.closing:
			l.flush(spare)
			return
		}
	}
}

// flush writes what is held and returns its buffer, to be held into next time.
func (l *AccessLog) flush(spare []byte) []byte {
	l.mu.Lock()
	lines := l.held
	l.held = spare[:0]
	l.mu.Unlock()
	if len(lines) == 0 {
		return lines
	}
	if back, ok := l.file.write(lines); ok {
		l.errors.Warn("access log lines were lost", failure.Key, failure.LogLinesLost, "lines", back.lost, "reason", back.reason)
	}
	return lines
}

// appendLine appends the line for e:
//
//	address - - [time] "method target protocol" status bytes "referer" "agent" id
func (l *AccessLog) appendLine(line []byte, e *AccessEntry) []byte {
	line = appendField(line, e.RemoteAddr)
	line = append(line, " - - "...)
	if second := e.Time.Unix(); second != l.second || len(l.stamp) == 0 {
		l.second = second
		l.stamp = e.Time.AppendFormat(l.stamp[:0], "[02/Jan/2006:15:04:05 -0700]")
	}
	line = append(line, l.stamp...)
	line = append(line, ' ', '"')
	if len(e.Method)+len(e.Target)+len(e.Protocol) == 0 {
		line = append(line, '-')
	} else {
		line = appendEscaped(line, e.Method)
		line = append(line, ' ')
		line = appendEscaped(line, e.Target)
		line = append(line, ' ')
		line = appendEscaped(line, e.Protocol)
	}
	line = append(line, '"', ' ')
	line = strconv.AppendInt(line, int64(e.Status), 10)
	line = append(line, ' ')
	line = strconv.AppendInt(line, e.Bytes, 10)
	line = append(line, ' ', '"')
	line = appendField(line, e.Referer)
	line = append(line, '"', ' ', '"')
	line = appendField(line, e.Agent)
	line = append(line, '"', ' ')
	line = appendField(line, e.ID)
	return append(line, '\n')
}

// appendField appends text, or a dash for nothing.
func appendField[T string | []byte](line []byte, text T) []byte {
	if len(text) == 0 {
		return append(line, '-')
	}
	return appendEscaped(line, text)
}

// appendEscaped appends text so that it can end neither its quotes nor its line,
// as Apache does since 2.0.46: \" and \\, and \xhh for what is not printable ASCII.
func appendEscaped[T string | []byte](line []byte, text T) []byte {
	const hex = "0123456789abcdef"
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			line = append(line, '\\', c)
		case c < ' ' || c > '~':
			line = append(line, '\\', 'x', hex[c>>4], hex[c&0xf])
		default:
			line = append(line, c)
		}
	}
	return line
}
