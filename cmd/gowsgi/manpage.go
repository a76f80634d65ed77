package main

// gowsgi man: the manual page, in the macros of man(7).

import (
	"fmt"
	"io"
	"os"
	"strings"

	"gowsgi/cmd/failure"
)

// runMan is `gowsgi man`.
func runMan(args []string) error {
	if len(args) > 0 {
		return failure.Errorf(failure.Usage, "usage: gowsgi man")
	}
	return writeManPage(os.Stdout)
}

// manSignals and manExits are said in prose elsewhere (README.md, signals.go, exit.go).
var manSignals = [][2]string{
	{"TERM", "stop: after --drain-delay requests finish, for --graceful-timeout at most; again: quicker"},
	{"INT, QUIT", "stop without waiting for requests; again: at once"},
	{"HUP", "reload: read the configuration again, start new workers with the application's code of now, let the old ones finish; if the new ones cannot start, the old ones go on"},
	{"USR1", "open the log files again, after they were moved"},
	{"USR2", "upgrade: start the program's file anew and leave it the sockets; if it fails, this one goes on"},
	{"TTIN, TTOU", "a worker more, or less"},
}

var manExits = [][2]string{
	{"0", "stopped because it was asked to, or printed what it was asked for"},
	{"1", "anything that has no status of its own"},
	{"2", "the command line, a variable or a configuration file cannot be understood"},
	{"3", "the application's module cannot be imported"},
	{"4", "it has no such object, the object is not callable, or its factory failed"},
	{"5", "an address cannot be listened on"},
	{"6", "CPython cannot start"},
	{"7", "the pid file or a log file cannot be written"},
}

var manFiles = [][2]string{
	{ownFile, "settings, read from the working folder; a key for each flag: keep-alive = \"1m30s\", bind = [\":80\", \"unix:/run/app.sock\"]. The application is app = \"MODULE:APP\""},
	{projectFile, "the same in the table [tool.gowsgi], if there is no " + ownFile},
}

var manExamples = [][2]string{
	{"gowsgi wsgi", "serve the object application of wsgi.py on 127.0.0.1:8000"},
	{"gowsgi -w 4 --threads 2 -b :80 'shop:create_app()'", "call a factory; listen on port 80 of all addresses"},
	{"gowsgi --print-config", "show what the configuration comes to"},
	{"gowsgi migrate gunicorn.conf.py > gowsgi.toml", "come from another server"},
}

// roff collects lines of a page.
type roff struct{ lines []string }

func (p *roff) line(format string, args ...any) {
	p.lines = append(p.lines, fmt.Sprintf(format, args...)+"\n")
}

func writeManPage(out io.Writer) error {
	p := &roff{}
	p.line(".TH GOWSGI 1 \"\" \"gowsgi %s\" \"User commands\"", roffText(version))
	p.section("NAME")
	p.text("gowsgi - serve a Python WSGI application")
	p.section("SYNOPSIS")
	p.text(usageLine)
	for _, name := range commandNames() {
		p.line(".br")
		p.text("gowsgi " + commands[name].usage)
	}
	p.section("DESCRIPTION")
	p.text("MODULE is imported in worker processes; APP, application if it is not given, is the object in it to call for each request: " +
		"a dotted name, or one that is called with literal arguments, as in app:create_app(debug=False).")
	p.line(".PP")
	p.text("Flags win over variables, variables over the configuration file, that over defaults. " +
		"Durations are seconds, or have units: 1m30s, 500ms. Sizes are bytes, or have units: 64K, 10M, 2GiB. " +
		"A flag that is on can be switched off: --preload=false.")
	p.section("OPTIONS")
	group := ""
	for i := range table {
		row := &table[i]
		if row.group != group {
			group = row.group
			p.line(".SS %s", roffText(group))
		}
		p.item(row.spelling(), row.help+row.note()+"; variable "+row.env())
	}
	p.line(".SS Others")
	for _, o := range others {
		spelling := "--" + o.name
		if o.short != "" {
			spelling = "-" + o.short + ", " + spelling
		}
		p.item(spelling, o.help)
	}
	p.section("COMMANDS")
	for _, name := range commandNames() {
		p.item("gowsgi "+commands[name].usage, commands[name].help)
	}
	p.items("SIGNALS", manSignals)
	p.items("EXIT STATUS", manExits)
	p.items("FILES", manFiles)
	p.section("ENVIRONMENT")
	p.item("GOWSGI_NAME", "each setting, in capital letters and with underscores: GOWSGI_KEEP_ALIVE; lists with commas. The application is GOWSGI_APP")
	p.item(commandArguments, "further flags, as gunicorn takes them")
	p.item("VIRTUAL_ENV", "the virtualenv whose packages the application sees, unless gowsgi itself lies in one; without either the folder .venv of the working folder")
	p.items("EXAMPLES", manExamples)
	_, err := io.WriteString(out, strings.Join(p.lines, ""))
	return err
}

func (p *roff) section(title string) { p.line(".SH %s", title) }

func (p *roff) items(title string, items [][2]string) {
	p.section(title)
	for _, item := range items {
		p.item(item[0], item[1])
	}
}

// item is a term and, indented below it, what it means.
func (p *roff) item(term, meaning string) {
	p.line(".TP")
	p.line(".B %s", roffText(term))
	p.text(meaning)
}

// text is a line of running text.
func (p *roff) text(text string) { p.line("%s", roffText(text)) }

// roffText is text as it is: nothing in it is a request or an escape.
func roffText(text string) string {
	text = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `"`, `\(dq`, `'`, `\(aq`, "\n", " ").Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}
