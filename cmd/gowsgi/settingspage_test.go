package main

import (
	"os"
	"testing"
)

func TestSettingsPage_IsWhatTheFlagsAre(t *testing.T) {
	const path = "../../docs/settings.md"
	if *update {
		if err := os.WriteFile(path, []byte(settingsPage()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != settingsPage() {
		t.Errorf("%s is not what the flags are; run go test ./cmd/gowsgi -run SettingsPage -update", path)
	}
}
