package main

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"gowsgi/cmd/failure"
)

func TestEnvFile_IsReadAsPeopleWriteThem(t *testing.T) {
	const text = "\ufeff# a comment\r\n\n" +
		"A=1\r\nexport B = two words  # a comment\nC=a#b\nD=\nE= # nothing\n" +
		"F=\"a\\n\\\"b\\\" \\$ \\\\ \\d # no comment\" # a comment\n" +
		"G='as it is: ${A} \\n'\nH=\"two\nlines\"\n" +
		"I=${A}/${REAL}/${NONE}/${NONE:-other}/${D:-empty}/$A\nJ=\"${I}\"\nexportK=1\nL=it's\nA.B-C=x=y\n"
	got := map[string]string{}
	if err := parseEnvFile(".env", text, got, variables("REAL", "r", "A", "")); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"A": "1", "B": "two words", "C": "a#b", "D": "", "E": "", "F": "a\n\"b\" $ \\ \\d # no comment",
		"G": `as it is: ${A} \n`, "H": "two\nlines", "I": "1/r//other/empty/$A", "J": "1/r//other/empty/$A",
		"exportK": "1", "L": "it's", "A.B-C": "x=y",
	}
	if !maps.Equal(got, want) {
		t.Errorf("parseEnvFile = %q, want %q", got, want)
	}
}

func TestEnvFile_SaysWhereItIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"A=1\n\nword\n":       `.env:3: "word" is no NAME=VALUE`,
		"A=\"x\ny\"\n1A=2":    `.env:3: "1A" cannot be a variable's name`,
		"=2":                  `.env:1: "" cannot be a variable's name`,
		"A='x":                `.env:1: A: the quote ' is not closed`,
		"\nA=\"x":             `.env:2: A: the quote " is not closed`,
		"A='x' y":             `.env:1: A: "y" follows the closing quote`,
		"A=${B":               `.env:1: A: "${B": want ${NAME} or ${NAME:-VALUE}; single quotes keep a dollar sign as it is`,
		"A=${B.length()}":     `.env:1: A: "${B.length()}": want `,
		"A=\x00":              `.env:1: A: holds a NUL byte`,
		"A=1\nB=\"a\\\"\nC=1": `.env:2: B: the quote " is not closed`,
	} {
		err := parseEnvFile(".env", text, map[string]string{}, variables())
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("parseEnvFile(%q) = %v, want %q", text, err, want)
		}
	}
}

func TestEnvFile_TheRealEnvironmentWins(t *testing.T) {
	i := in(t, "a --env-file 1.env --env-file 2.env -e E=flag", variables("REAL", "kept", "EMPTY", ""),
		"1.env", "REAL=1\nEMPTY=1\nA=1\nB=1\n", "2.env", "B=${A}2\nE=file\n")
	s := i.mustParse(t)
	if want := []string{"A=1", "B=12", "E=file"}; !slices.Equal(s.FileEnv, want) {
		t.Errorf("FileEnv = %q, want %q", s.FileEnv, want)
	}
	_, err := in(t, "a --env-file 1.env", variables(), "1.env", "word").parse(&bytes.Buffer{}, "")
	if want := `--env-file: 1.env:1: "word" is no NAME=VALUE`; err == nil || err.Error() != want || exitCode(err) != failure.ExitUsage {
		t.Errorf("a broken .env file: %v, want %q", err, want)
	}
}
