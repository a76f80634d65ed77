package main

// gowsgi explain: what a failure's code means, its cause, and what to do.

import (
	"fmt"
	"io"
	"os"
	"strings"

	"gowsgi/cmd/failure"
)

// runExplain is `gowsgi explain`: the page of each code that is named, the list of
// all codes without one; words look for codes whose title has them.
func runExplain(args []string) error {
	text := strings.Builder{}
	if len(args) == 0 {
		writeCodes(&text, nil)
	}
	for i, arg := range args {
		code, ok := failure.Parse(arg)
		if !ok {
			return explainWords(args)
		}
		if i > 0 {
			text.WriteByte('\n')
		}
		writePage(&text, code.Page())
	}
	_, err := io.WriteString(os.Stdout, text.String())
	return err
}

// explainWords lists the codes whose titles have words that begin like all of these.
func explainWords(words []string) error {
	text := strings.Builder{}
	writeCodes(&text, words)
	if text.Len() > 0 {
		_, err := io.WriteString(os.Stdout, text.String())
		return err
	}
	return failure.Errorf(failure.Usage, "no failure has the code, or is called, %q; gowsgi explain lists them", strings.Join(words, " "))
}

// writeCodes lists codes and titles below the headings of their groups.
func writeCodes(out io.Writer, words []string) {
	for _, group := range failure.Groups() {
		headed := false
		for i := range group.Pages {
			page := &group.Pages[i]
			if !hasAll(page.Title, words) {
				continue
			}
			if !headed {
				_, _ = fmt.Fprintf(out, "%s\n", group.Title)
				headed = true
			}
			_, _ = fmt.Fprintf(out, "  %v  %s\n", page.Code, page.Title)
		}
	}
}

func hasAll(text string, words []string) bool {
	text = " " + strings.ToLower(text)
	for _, word := range words {
		if !strings.Contains(text, " "+strings.ToLower(word)) {
			return false
		}
	}
	return true
}

// writePage writes a page for a terminal of 80 columns; commands are never broken.
func writePage(out io.Writer, page *failure.Page) {
	_, _ = fmt.Fprintf(out, "%v  %s\n\n%s\n\nWhat to do\n%s\n", page.Code, page.Title, wrapped(page.Cause), wrapped(sentence(page.Do)))
	for _, step := range page.Steps {
		if !strings.HasPrefix(step, " ") {
			step = "\n" + wrapped(step)
		} else {
			step = "  " + step
		}
		_, _ = fmt.Fprintln(out, step)
	}
	_, _ = fmt.Fprintf(out, "\n%s\n", wrapped(ending(page)))
}

// ending says how the failure ends the program.
func ending(page *failure.Page) string {
	switch page.Exit {
	case failure.Continues:
		return "The server goes on."
	case failure.AsCause:
		return "Exit status: that of the cause."
	}
	return fmt.Sprintf("Exit status: %d.", page.Exit)
}

// sentence begins with a capital letter, unless with a word that is written so, and
// ends with a full stop.
func sentence(text string) string {
	if strings.HasPrefix(text, "gowsgi") {
		return text + "."
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// pageWidth is that of the text of a page.
const pageWidth = 78

// wrapped breaks text into lines between its words.
func wrapped(text string) string {
	var b strings.Builder
	width := 0
	for _, word := range strings.Fields(text) {
		switch {
		case width > 0 && width+1+len(word) > pageWidth:
			b.WriteByte('\n')
			width = 0
		case width > 0:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += len(word)
	}
	return b.String()
}
