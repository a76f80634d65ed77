package main

import (
	"os"
	"testing"
)

func TestErrorsPage_IsWhatTheCatalogueSays(t *testing.T) {
	const path = "../../docs/errors.md"
	if *update {
		if err := os.WriteFile(path, []byte(errorsPage()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != errorsPage() {
		t.Errorf("%s is not what the catalogue says; run go test ./cmd/gowsgi -run TestErrorsPage_IsWhatTheCatalogueSays -update", path)
	}
}
