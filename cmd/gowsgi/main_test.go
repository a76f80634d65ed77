package main

import (
	"os"
	"testing"
)

// TestMain has the tests' defaults be those of a machine without control groups,
// wherever they run; cgroup_test.go has some.
func TestMain(m *testing.M) {
	processResources = func() resources { return resources{} }
	os.Exit(m.Run())
}
