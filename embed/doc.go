// Package embed owns the interpreter: it boots CPython in the zygote, forks
// workers from it, and holds the C loop that serves requests in a worker. It is
// the only package that imports cpy3 or "C".
//
// Rules of the house. One interpreter a process, started once, never
// finalised, always on the process's main thread. Go runs in the zygote until
// the C loop is entered, and never in a worker: there is no callback from C
// into Go anywhere. While attached to the GIL nothing waits: every wait in C
// releases it first. The front links this package but never calls into C.
//
// Files: boot.c starts CPython, zygote.c forks and reaps, worker.c is a worker
// from fork to exit, exchange.c one request, environ.c, input.c and respond.c
// its three parts, channel.c and wait.c the shared memory, signals.c and
// stacks.c what signals do, host.py everything that is not done for each request.
package embed
