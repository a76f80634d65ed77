package main

// docs/errors.md: every failure, as one page made of the catalogue.

import (
	"fmt"
	"strings"

	"gowsgi/cmd/failure"
)

// errorsPage is docs/errors.md, in Markdown: a table of all codes, and their pages.
func errorsPage() string {
	var b strings.Builder
	b.WriteString(errorsPreface)
	for _, group := range failure.Groups() {
		fmt.Fprintf(&b, "| | **%s** | |\n", group.Title)
		for i := range group.Pages {
			page := &group.Pages[i]
			fmt.Fprintf(&b, "| [%v](#%s) | %s | %s |\n", page.Code, strings.ToLower(page.Code.String()), escapedMarkdown(page.Title), statusCell(page))
		}
	}
	for _, group := range failure.Groups() {
		fmt.Fprintf(&b, "\n## %s\n", group.Title)
		for i := range group.Pages {
			writeMarkdown(&b, &group.Pages[i])
		}
	}
	return b.String()
}

const errorsPreface = `<!-- made by go test ./cmd/gowsgi -run ErrorsPage -update -->
# Errors

Whatever goes wrong and is an operator's to mend has a code. It stands at the end of the line that tells of it, in brackets:

    gowsgi: error: cannot listen on http://127.0.0.1:80: permission denied; ... [GW052]
    gowsgi: help: start as root with --user, or ...; more: gowsgi explain GW052

    [2026-11-21 04:18:00 +0000] [4711] [ERROR] worker died worker=3 pid=4720 reason="killed by SIGSEGV" ... [GW090]

The second line, what to do in one sentence, follows where a start or a command ends. Search logs for ` + "`[GW090]`" + `; the words around
a code may change from version to version, what it means does not, and no code is given to another failure later.
` + "`gowsgi explain GW090`" + ` (or ` + "`90`" + `) prints its part of this page, ` + "`gowsgi explain`" + ` the table, ` + "`gowsgi explain port`" + ` the codes that speak of ports.

| Code | What has happened | Exit status |
| --- | --- | --- |
`

func statusCell(page *failure.Page) string {
	switch page.Exit {
	case failure.Continues:
		return "–"
	case failure.AsCause:
		return "the cause's"
	}
	return fmt.Sprint(page.Exit)
}

func writeMarkdown(b *strings.Builder, page *failure.Page) {
	fmt.Fprintf(b, "\n### %v\n\n**%s.** %s\n\n%s\n", page.Code, escapedMarkdown(page.Title), escapedMarkdown(page.Cause), escapedMarkdown(sentence(page.Do)))
	command := false
	for _, step := range page.Steps {
		line, isCommand := strings.CutPrefix(step, "  ")
		if isCommand {
			if !command {
				b.WriteByte('\n')
			}
			fmt.Fprintf(b, "    %s\n", line)
		} else {
			fmt.Fprintf(b, "\n%s\n", escapedMarkdown(step))
		}
		command = isCommand
	}
}

// escapedMarkdown keeps text from being taken for markup.
func escapedMarkdown(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "<", `\<`, "|", `\|`, "[", `\[`, "`", "\\`").Replace(text)
}
