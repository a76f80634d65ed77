"""The certificate that every server under TLS gets: of the kind most sites have."""

import os
import subprocess


def made_in(folder):
    """Return the path of a PEM file, certificate and key, made at the first call."""
    both = os.path.join(folder, "certificate.pem")
    if os.path.exists(both):
        return both
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-days", "2"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *(
                "-subj",
                "/CN=127.0.0.1",
                "-keyout",
                both + ".key",
                "-out",
                both + ".crt",
            ),
        ],
        check=True,
        capture_output=True,
    )
    with open(both, "w") as out:
        for part in (both + ".crt", both + ".key"):
            with open(part) as text:
                out.write(text.read())
    os.chmod(both, 0o644)  # httpd's workers are another account; it lives for a bench
    return both
