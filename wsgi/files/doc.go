// Package files answers requests with files: those below folders that are
// served as they are (Static), and those an application names in its answer
// (Sendfile).
//
// It finds a file without ever leaving the folder it was told, evaluates the
// request's conditions and its Range (RFC 9110 §13, §14), and has the exchange
// send the bytes, by the kernel where that is possible.
package files
