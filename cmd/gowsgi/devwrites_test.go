package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestDevWrites_TellsTheApplicationFromAPerson(t *testing.T) {
	file := filepath.Join(t.TempDir(), "version.py")
	other := filepath.Join(t.TempDir(), "app.py")
	now := time.Now()
	type step struct {
		path, text string
		loading    bool
		after      time.Duration
		own, tired bool
	}
	for name, steps := range map[string][]step{
		"saves": {
			{path: file, text: "1"},
			{path: file, text: "2", after: time.Second},
			{path: file, text: "3", loading: true},
			{path: file, text: "4", loading: true},
			{path: other, text: "4", loading: true},
			{path: file, text: "4", loading: true},
		},
		"touches": {
			{path: file, text: "1"},
			{path: file, text: "1", after: 3 * time.Second},
		},
		"the same at each load": {
			{path: other, text: "1"},
			{path: file, text: "1", loading: true},
			{path: file, text: "1", loading: true, own: true},
			{path: other, text: "2"},
			{path: file, text: "1", loading: true},
			{path: file, text: "1", loading: true, own: true},
		},
		"the same with each request": {
			{path: file, text: "1"},
			{path: file, text: "1", own: true, after: time.Second},
			{path: file, text: "1", own: true, after: time.Second},
		},
		"another at each load": {
			{path: file, text: "0"},
			{path: file, text: "1", loading: true},
			{path: file, text: "2", loading: true},
			{path: file, text: "3", loading: true},
			{path: file, text: "4", loading: true},
			{path: file, text: "5", loading: true, own: true, tired: true},
			{path: file, text: "6"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var w devWrites
			for i, s := range steps {
				if err := os.WriteFile(s.path, []byte(s.text), 0o600); err != nil {
					t.Fatal(err)
				}
				now = now.Add(s.after)
				if own, tired := w.changed([]string{s.path}, s.loading, now); own != s.own || tired != s.tired {
					t.Errorf("step %d: changed(%+v) = %t, %t, want %t, %t", i, s, own, tired, s.own, s.tired)
				}
			}
		})
	}
}
