"""What a TLS server of the tests shows: certificates of the authority in tests/conftest.py."""

import ssl

import trustme


def speaks_tls(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context
