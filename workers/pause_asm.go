//go:build amd64 || arm64

package workers

// pause tells the processor that this is a spin: the thread that shares its
// core, which may well be the worker looked for, runs the faster. The Go
// runtime has the same for itself only.
func pause()
