// Package workers keeps a pool of worker processes alive and hands each
// request to a thread of theirs that is idle.
//
// Two parts that know little of each other. The dispatcher (dispatcher.go,
// call.go) is called by the goroutines of connections, under one mutex, and
// moves requests between the queue and the slots of workers. The supervisor
// (supervisor.go) is one goroutine with one select: it starts the zygote,
// orders workers from it, hears of their deaths, and replaces them.
package workers
