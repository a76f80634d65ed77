package main

// gunicorn's command line, for people who come from there: flags that have no row
// in the table because there is nothing to set, and $GUNICORN_CMD_ARGS.

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"gowsgi/cmd/failure"
)

// A strangeFlag is one of gunicorn's that gowsgi has no setting for.
type strangeFlag struct {
	name, short string
	bare        bool // it takes no value
	// needless says why nothing is lost without it; empty: gowsgi refuses it, and
	// refusal says what to do instead.
	needless, refusal string
	// judge looks at the value, where it depends on that.
	judge func(value string) (warning string, err error)
}

// strangeFlags are those whose meaning would be missed, or asked for.
var strangeFlags = []strangeFlag{
	{name: "worker-class", short: "k", judge: judgeWorkerClass},
	{name: "worker-connections", needless: "connections wait in the front, which has no such limit"},
	{name: "worker-tmp-dir", needless: "workers have no heartbeat files"},
	{name: "tmp-upload-dir", needless: "it has no effect in gunicorn either"},
	{name: "reuse-port", bare: true, needless: "one process accepts for all workers"},
	{name: "no-sendfile", bare: true, needless: "sendfile is used where it works"},
	{name: "enable-stdio-inheritance", short: "R", bare: true, needless: "workers write to the same standard output"},
	{name: "capture-output", bare: true, needless: "what workers write to standard error goes to the error log in any case"},
	{name: "disable-redirect-access-to-syslog", bare: true, needless: "there is no syslog that it could go to"},
	{name: "no-control-socket", bare: true, needless: "there is none"},
	{name: "daemon", short: "D", bare: true, refusal: "gowsgi stays in the foreground: run it by systemd or another supervisor"},
	{name: "spew", bare: true, refusal: "gowsgi does not trace; python3 -m trace does"},
	{name: "paste", refusal: "name the application as MODULE:APP; a function of a few lines can load the .ini file"},
	{name: "paster", refusal: "name the application as MODULE:APP; a function of a few lines can load the .ini file"},
	{name: "logger-class", refusal: "the logs are not written by Python"},
	{name: "log-config", refusal: "the logs are not written by Python; see --log-level, --access-logfile and --error-logfile"},
	{name: "log-config-json", refusal: "the logs are not written by Python; see --log-level, --access-logfile and --error-logfile"},
	{name: "log-config-dict", refusal: "the logs are not written by Python; see --log-level, --access-logfile and --error-logfile"},
	{name: "log-syslog", bare: true, refusal: "let the supervisor take what gowsgi writes to standard error"},
	{name: "log-syslog-to", refusal: "let the supervisor take what gowsgi writes to standard error"},
	{name: "log-syslog-prefix", refusal: "let the supervisor take what gowsgi writes to standard error"},
	{name: "log-syslog-facility", refusal: "let the supervisor take what gowsgi writes to standard error"},
	{name: "permit-obsolete-folding", bare: true, refusal: "folded header lines are always refused, RFC 9112 §5.2"},
	{name: "permit-unconventional-http-method", bare: true, needless: "every method that RFC 9110 §9 allows is passed on"},
	{name: "permit-unconventional-http-version", bare: true, refusal: "only HTTP/1.0 and HTTP/1.1 can be understood"},
	{name: "casefold-http-method", bare: true, refusal: "methods are told apart by case, RFC 9110 §9.1"},
	{name: "strip-header-spaces", bare: true, refusal: "a space before the colon is always refused, RFC 9112 §5.1"},
}

// findStrange is the flag of gunicorn's, written with its dashes, or nil.
func findStrange(flag string) *strangeFlag {
	for i := range strangeFlags {
		s := &strangeFlags[i]
		if flag == "--"+s.name || s.short != "" && flag == "-"+s.short {
			return s
		}
	}
	return nil
}

// meet tells what to warn of, or that gowsgi cannot do what the flag asks for.
func (s *strangeFlag) meet(value string) (warning string, err error) {
	switch {
	case s.judge != nil:
		return s.judge(value)
	case s.needless != "":
		return fmt.Sprintf("--%s changes nothing: %s", s.name, s.needless), nil
	}
	return "", failure.Errorf(failure.NotSupported, "--%s is gunicorn's, not gowsgi's: %s", s.name, s.refusal)
}

func judgeWorkerClass(value string) (warning string, err error) {
	class := strings.ToLower(value)
	switch {
	case class == "sync", class == "gthread", strings.HasPrefix(class, "gunicorn.workers.sync."), strings.HasPrefix(class, "gunicorn.workers.gthread."):
		return "", nil // what gowsgi's workers are
	case strings.Contains(class, "uvicorn"), strings.Contains(class, "asgi"), strings.Contains(class, "aiohttp"):
		return "", failure.Errorf(failure.NotSupported, "--worker-class %q serves ASGI applications; gowsgi serves WSGI ones", value)
	}
	return "", failure.Errorf(failure.NotSupported, "--worker-class %q: gowsgi's workers are processes with threads (sync, gthread); "+
		"for many requests that wait, give them --threads", value)
}

// commandArguments is the variable with further arguments of gunicorn's.
const commandArguments = "GUNICORN_CMD_ARGS"

// gunicornArguments gives what $GUNICORN_CMD_ARGS says, and warnings. As in
// gunicorn it stands above configuration files and below the command line.
func gunicornArguments(lookup func(string) (string, bool)) (func(*setting) (saying, bool), []string, error) {
	text, _ := lookup(commandArguments)
	words, err := shellWords(text)
	var line arguments
	if err == nil {
		line, err = separate(words)
	}
	var flags map[string][]string
	if err == nil {
		flags, err = line.flags()
	}
	if err == nil && line.asks != "" {
		err = fmt.Errorf("%s belongs on the command line", line.asks)
	}
	if err != nil {
		return nil, nil, failure.Errorf(failure.Usage, "%s: %w", commandArguments, err)
	}
	for i := range line.warnings {
		line.warnings[i] = commandArguments + ": " + line.warnings[i]
	}
	return func(row *setting) (saying, bool) {
		texts, ok := flags[row.name]
		return saying{commandArguments + ": " + row.flag(), texts}, ok
	}, line.warnings, nil
}

// shellWords cuts a line into words as a shell does that expands nothing.
func shellWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case ' ', '\t', '\n', '\r':
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
			continue
		case '\'', '"':
			end := endOfQuote(line, i)
			if c == '\'' {
				end = i + 1 + strings.IndexByte(line[i+1:], c)
			}
			if end == i || end == len(line) {
				return nil, fmt.Errorf("the quote %c is not closed", c)
			}
			inside := line[i+1 : end]
			if c == '"' {
				inside = strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(inside)
			}
			word.WriteString(inside)
			i = end
		case '\\':
			if i++; i == len(line) {
				return nil, errors.New("it ends with a backslash")
			}
			word.WriteByte(line[i])
		default:
			word.WriteByte(c)
		}
		inWord = true
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// looksLikeGunicorns tells whether a configuration file's name is meant for
// gunicorn, which takes Python files and modules.
func looksLikeGunicorns(name string) bool {
	return path.Ext(name) == ".py" || bareName(name) != name
}

// bareName is the name without the scheme that gunicorn allows before it.
func bareName(name string) string {
	for _, scheme := range []string{"python:", "file:"} {
		if bare, ok := strings.CutPrefix(name, scheme); ok {
			return bare
		}
	}
	return name
}
