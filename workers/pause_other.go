//go:build !amd64 && !arm64

package workers

// pause does nothing where no such instruction is known.
func pause() {}
