package workers

import "runtime"

// lookOuts is how often the goroutine of a connection looks for the answer of
// an idle worker before it sleeps: about as long as a short application runs.
const lookOuts = 10000

// lookOutFor returns how often to look here: on one processor never, because
// the worker could not run meanwhile.
func lookOutFor() int {
	if runtime.NumCPU() < 2 {
		return 0
	}
	return lookOuts
}

// yieldEvery: so many looks between two offers to let another goroutine run.
const yieldEvery = 16

// relax is one step of looking out for an answer without sleeping. The other
// goroutines of this processor get their turn now and then.
func relax(looks int) {
	if looks%yieldEvery == 0 {
		runtime.Gosched()
	}
}
