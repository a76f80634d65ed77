package failure

// Codes of failures with certificates.
const (
	CertificateUnusable Code = 80
	CertificateStale    Code = 81
	CertificateExpires  Code = 82
)

var tls = []Page{
	{
		Code: CertificateUnusable, Title: "A certificate or key cannot be used", Exit: ExitListen,
		Cause: "A file of --certfile, --keyfile or --ca-certs cannot be read, holds no PEM, or the key belongs to another certificate. Keys with a password are not taken.",
		Do:    "see that the files are readable, and that key and certificate belong together",
		Steps: []string{"Both must print the same:", "  openssl x509 -in chain.pem -noout -pubkey", "  openssl pkey -in key.pem -pubout",
			"The chain begins with the server's own certificate:", "  openssl crl2pkcs7 -nocrl -certfile chain.pem | openssl pkcs7 -print_certs -noout"},
	},
	{
		Code: CertificateStale, Title: "Changed certificates cannot be used", Exit: Continues,
		Cause: "The files have changed, or a reload asked for them, and they cannot be loaded, for one of the reasons of GW080. The old ones stay in force until they expire.",
		Do:    "mend the files; they are looked at again by themselves",
	},
	{
		Code: CertificateExpires, Title: "A certificate has expired or is about to", Exit: Continues,
		Cause: "Clients refuse an expired certificate. It is loaded nevertheless: some clients do not look.",
		Do:    "renew it; the new file is taken up by itself",
		Steps: []string{"  openssl x509 -in chain.pem -noout -enddate"},
	},
}
