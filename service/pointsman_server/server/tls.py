"""The public server's certificate, read again when its files change. a bad or expired one is not used."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TypeAlias

import grpc

from pointsman_server.config.schema import TlsServer
from pointsman_server.errors import FieldFault, Reason, ServiceError
from pointsman_server.telemetry.facade import Telemetry

_Stamp: TypeAlias = tuple[tuple[int, int, int], ...]


class CertificateSource:
    """Hands grpc the current certificate. Asked per handshake, on grpc's threads: a look at the files' times."""

    def __init__(self, tls: TlsServer, telemetry: Telemetry) -> None:
        self._tls = tls
        self._telemetry = telemetry
        self._stamp = self._look()
        self._current = self._load()

    def credentials(self) -> grpc.ServerCredentials:
        """For a server's port; demands client certificates where there is an authority for them."""
        return grpc.dynamic_ssl_server_credentials(
            self._current, self.fetch, require_client_authentication=self._tls.client_ca_file is not None
        )

    def fetch(self) -> grpc.ServerCertificateConfiguration:
        """The current one, after a look whether the files have changed."""
        try:
            stamp = self._look()
            if stamp != self._stamp:
                self._stamp = stamp
                self._current = self._load()
                self._telemetry.event("certificate_reloaded", file=self._tls.certificate_file)
        except ServiceError as error:
            self._telemetry.event("certificate_refused", file=self._tls.certificate_file, detail=error.detail)
        return self._current

    def _paths(self) -> tuple[str, ...]:
        tls = self._tls
        return tuple(
            path for path in (tls.certificate_file, tls.key_file, tls.client_ca_file) if path is not None
        )

    def _look(self) -> _Stamp:
        try:
            return tuple((s.st_mtime_ns, s.st_size, s.st_ino) for s in map(os.stat, self._paths()))
        except OSError as error:
            raise _fault(f"a file cannot be read: {error.strerror}") from error

    def _load(self) -> grpc.ServerCertificateConfiguration:
        try:
            certificate, key, *rest = (Path(path).read_bytes() for path in self._paths())
        except OSError as error:
            raise _fault(f"a file cannot be read: {error.strerror}") from error
        check_pair(self._tls.certificate_file, self._tls.key_file)
        if rest:
            _check_authorities(rest[0])
        return grpc.ssl_server_certificate_configuration([(key, certificate)], rest[0] if rest else None)


def check_pair(certificate_file: str, key_file: str) -> None:
    """Raise ServiceError unless the key fits the certificate and a client would take it today.

    The two are tried in a handshake in memory, which trusts the leaf itself: that checks the dates as a client does.
    """
    server_side, client_side = (
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    )
    try:
        server_side.load_cert_chain(certificate_file, key_file)
        client_side.load_verify_locations(certificate_file)
    except (ssl.SSLError, OSError) as error:
        raise _fault("certificate and key are no matching PEM pair") from error
    client_side.check_hostname = False
    client_side.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        _shake_hands(server_side, client_side)
    except ssl.SSLCertVerificationError as error:
        raise _fault(f"clients would not take the certificate: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise _fault("a handshake with the certificate fails") from error


def _shake_hands(server_side: ssl.SSLContext, client_side: ssl.SSLContext) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    client = client_side.wrap_bio(to_client, to_server)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue


def _check_authorities(pem: bytes) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem.decode("ascii", "replace"))
    except ssl.SSLError as error:
        raise _fault("client_ca_file holds no certificates") from error


def _fault(text: str) -> ServiceError:
    return ServiceError(
        Reason.INVALID_REQUEST, f"server.tls: {text}", fields=(FieldFault("server.tls", text),)
    )
