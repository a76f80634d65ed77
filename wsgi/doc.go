// Package wsgi turns one HTTP exchange into one WSGI call, and what the
// application gives back into an HTTP answer.
//
// The Gateway stands between two interfaces declared here: an Exchange, which
// a protocol engine such as wsgi/http1 provides, and a Call, which package
// workers provides. It knows PEP 3333 and no wire format: framing is the
// engine's, processes are the pool's.
package wsgi
