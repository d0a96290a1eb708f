"""A certificate authority of its own for one run, and server certificates, good or with one thing wrong."""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TLS_FAULTS = ("", "expired", "wrong-host", "unknown-ca")


def make_certificates(folder: Path, now: datetime, fault: str = "") -> tuple[Path, Path, Path]:
    """Write ca.pem (for clients), server.pem and server-key.pem; return their paths.

    fault: '' good for localhost and 127.0.0.1, 'expired', 'wrong-host', or 'unknown-ca' (signed by another authority).
    """
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, ca = _authority("Test tile provider CA", now)
    signing_key, signer = _authority("Somebody else", now) if fault == "unknown-ca" else (ca_key, ca)
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    if fault == "wrong-host":
        names = [x509.DNSName("elsewhere.invalid")]
    end = now - timedelta(days=1) if fault == "expired" else now + timedelta(days=30)
    certificate = (
        _builder("tile provider", now, end)
        .issuer_name(signer.subject)
        .public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False)
        .sign(signing_key, hashes.SHA256())
    )
    ca_file, server_file, key_file = (folder / name for name in ("ca.pem", "server.pem", "server-key.pem"))
    ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    server_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return ca_file, server_file, key_file


def _builder(name: str, now: datetime, end: datetime) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(end)
    )


def _authority(name: str, now: datetime) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, now, now + timedelta(days=30))
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        builder.issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return key, certificate
