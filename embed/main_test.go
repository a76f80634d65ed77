package embed_test

import (
	"os"
	"runtime"
	"testing"

	"gowsgi/embed"
)

func init() { runtime.LockOSThread() }

// TestMain makes the test binary its own zygote, as gowsgi is.
func TestMain(m *testing.M) {
	if os.Getenv(embed.ZygoteVariable) != "" {
		os.Exit(embed.ZygoteMain())
	}
	os.Exit(m.Run())
}
