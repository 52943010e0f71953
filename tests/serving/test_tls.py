"""Encrypted connections, callers with certificates, and certificates that change while the server runs."""

import shutil

import grpc
import pytest
from google.protobuf import text_format
from grpc_health.v1 import health_pb2, health_pb2_grpc

from serving import tls, watching
from serving.config.messages import SSLConfig
from tests.serving import support
from tests.serving.pki import Authority


def ask(address: str, ca: bytes, chain: tuple[bytes, bytes] | None = None) -> int:
    """Asks for health over TLS, with a certificate and a key of one's own if given."""
    certificate, key = chain or (None, None)
    credentials = grpc.ssl_channel_credentials(ca, key, certificate)
    with grpc.secure_channel(address, credentials) as channel:
        return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10).status


def is_refused(call) -> bool:
    try:
        call()
    except grpc.RpcError as error:
        return error.code() is grpc.StatusCode.UNAVAILABLE
    return False


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def test_a_caller_that_trusts_the_authority_is_answered_and_others_are_not(tmp_path, authority):
    certificate, key = authority.sign("server")
    other = Authority(tmp_path, "other")
    with support.server_in_thread(tmp_path, tls_cert=str(certificate), tls_key=str(key)) as address:
        assert ask(address, authority.file.read_bytes())
        assert is_refused(lambda: ask(address, other.file.read_bytes()))
        with grpc.insecure_channel(address) as channel:
            health = health_pb2_grpc.HealthStub(channel).Check
            assert is_refused(lambda: health(health_pb2.HealthCheckRequest(), timeout=10))


def test_mutual_tls_lets_in_only_callers_with_a_certificate_of_the_authority(tmp_path, authority):
    certificate, key = authority.sign("server")
    mine = tuple(file.read_bytes() for file in authority.sign("caller"))
    foreign = tuple(file.read_bytes() for file in Authority(tmp_path, "other").sign("stranger"))
    files = {"tls_cert": str(certificate), "tls_key": str(key), "tls_client_ca": str(authority.file)}
    with support.server_in_thread(tmp_path, **files) as address:
        ca = authority.file.read_bytes()
        assert ask(address, ca, mine)
        assert is_refused(lambda: ask(address, ca))
        assert is_refused(lambda: ask(address, ca, foreign))


def test_tensorflow_servings_ssl_config_does_the_same(tmp_path, authority):
    certificate, key = authority.sign("server")
    mine = tuple(file.read_bytes() for file in authority.sign("caller"))
    message = SSLConfig(
        server_key=key.read_text(),
        server_cert=certificate.read_text(),
        custom_ca=authority.file.read_text(),
        client_verify=True,
    )
    config = tmp_path / "ssl.config"
    config.write_text(text_format.MessageToString(message))
    with support.server_in_thread(tmp_path, ssl_config_file=str(config)) as address:
        assert ask(address, authority.file.read_bytes(), mine)
        assert is_refused(lambda: ask(address, authority.file.read_bytes()))


def test_a_renewed_certificate_is_used_without_a_restart(tmp_path, authority, monkeypatch):
    monkeypatch.setattr(watching, "_LOOK_S", 0.0)
    certificate, key = authority.sign("server")
    successor = Authority(tmp_path, "successor")
    with support.server_in_thread(tmp_path, tls_cert=str(certificate), tls_key=str(key)) as address:
        assert ask(address, authority.file.read_bytes())
        certificate.write_text("half of a certifi")  # an editor at work: the old one stays
        assert ask(address, authority.file.read_bytes())
        for new, old in zip(successor.sign("next"), (certificate, key), strict=True):
            shutil.copy(new, old)
        assert ask(address, successor.file.read_bytes())
        assert is_refused(lambda: ask(address, authority.file.read_bytes()))


def test_files_that_do_not_belong_together_are_refused_at_the_start(tmp_path, authority):
    certificate, _ = authority.sign("server")
    _, other_key = authority.sign("other")
    with pytest.raises(ValueError, match=r"expected a certificate and its key in PEM.*KEY_VALUES_MISMATCH"):
        tls.from_files(str(certificate), str(other_key), None)
    with pytest.raises(ValueError, match="expected a certificate"):
        tls.from_files(str(other_key), str(certificate), None)
    junk = tmp_path / "junk"
    junk.write_bytes(b"\xff\x00")
    with pytest.raises(ValueError, match="expected a certificate"):
        tls.from_files(*map(str, authority.sign("again")), str(junk))


def test_a_config_that_begins_to_ask_for_certificates_needs_a_restart(
    tmp_path, authority, monkeypatch, caplog
):
    """gRPC would go on to let everybody in, and the log would say that the new file is in force."""
    monkeypatch.setattr(watching, "_LOOK_S", 0.0)
    certificate, key = (file.read_text() for file in authority.sign("server"))
    message = SSLConfig(server_key=key, server_cert=certificate)
    config = tmp_path / "ssl.config"
    config.write_text(text_format.MessageToString(message))
    served = tls.from_ssl_config(str(config))
    message.custom_ca, message.client_verify = authority.file.read_text(), True
    config.write_text(text_format.MessageToString(message))
    assert served._changed() is None
    assert not served.asks_callers
    assert "changes only when the server starts" in caplog.text
