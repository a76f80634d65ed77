// Package secure holds what TLS needs beside crypto/tls: certificates that are replaced while the server
// runs, and the variables that tell an application about its client's certificate.
//
//	keeper.go     certificates and authorities: loaded, chosen by name, loaded again
//	watch.go      sees that their files have changed
//	variables.go  SSL_* variables of a connection, named as Apache's mod_ssl names them
//	name.go       distinguished names as text
package secure
