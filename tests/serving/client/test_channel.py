"""TLS, tokens, pings: how a client reaches a server."""

import http.server
import threading

import grpc
import pytest

from serving import client_channel, errors
from serving.client import CaptionClient, TlsOptions
from serving.client_settings import Settings
from tests.serving import scripted
from tests.serving.pki import Authority
from tests.serving.scripted import texts
from tests.serving.support import jpeg

Code = grpc.StatusCode


@pytest.fixture
def authority(tmp_path) -> Authority:
    return Authority(tmp_path)


def _credentials(authority: Authority, ask_for_certificate: bool = False) -> grpc.ServerCredentials:
    certificate, key = (file.read_bytes() for file in authority.sign("server"))
    root = authority.file.read_bytes() if ask_for_certificate else None
    return grpc.ssl_server_credentials([(key, certificate)], root, ask_for_certificate)


def test_tls_is_spoken_with_a_server_that_the_authority_signed(server, authority, tmp_path):
    with scripted.serving(server, _credentials(authority)) as address:
        with CaptionClient(address, tls=TlsOptions(ca=authority.file)) as client:
            assert texts(client.caption([jpeg()])) == ["40 x 30"]
        other = Authority(tmp_path, "other")
        with (
            CaptionClient(address, timeout_s=5, tls=TlsOptions(ca=other.file)) as client,
            pytest.raises(errors.ServerUnreachable, match=r"no TLS connection .* --tls-ca"),
        ):
            client.caption([jpeg()])


def test_the_server_must_have_the_name_that_was_given(server, authority):
    with scripted.serving(server, _credentials(authority)) as address:
        with CaptionClient(address, tls=TlsOptions(authority.file, server_name="localhost")) as client:
            assert texts(client.caption([jpeg()])) == ["40 x 30"]
        tls = TlsOptions(authority.file, server_name="captions.example.org")
        with (
            CaptionClient(address, timeout_s=5, tls=tls) as client,
            pytest.raises(errors.ServerUnreachable, match="no TLS connection"),
        ):
            client.caption([jpeg()])


def test_mutual_tls_shows_the_client_s_certificate(server, authority):
    certificate, key = authority.sign("me")
    with scripted.serving(server, _credentials(authority, ask_for_certificate=True)) as address:
        with CaptionClient(address, tls=TlsOptions(authority.file, certificate, key)) as client:
            assert texts(client.caption([jpeg()])) == ["40 x 30"]
        with (
            CaptionClient(address, timeout_s=5, tls=TlsOptions(authority.file)) as client,
            pytest.raises(errors.ServerUnreachable, match="--tls-cert"),
        ):
            client.caption([jpeg()])


def test_a_caller_without_tls_is_told_that_the_server_may_speak_it(server, authority):
    with (
        scripted.serving(server, _credentials(authority)) as address,
        CaptionClient(address, timeout_s=5) as client,
        pytest.raises(errors.ServerUnreachable, match="if it speaks TLS, say so with --tls"),
    ):
        client.caption([jpeg()])


def test_a_port_of_something_else_is_said():
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as web:
        threading.Thread(target=web.serve_forever).start()
        with (
            CaptionClient(f"127.0.0.1:{web.server_port}", timeout_s=5) as client,
            pytest.raises(errors.ServerUnreachable, match="is not gRPC; is it another port"),
        ):
            client.caption([jpeg()])
        web.shutdown()


def test_files_of_tls_are_checked_when_the_client_is_made(tmp_path, authority):
    certificate, _ = authority.sign("me")
    with pytest.raises(ValueError, match="the key is missing"):
        CaptionClient(tls=TlsOptions(certificate=certificate))
    with pytest.raises(FileNotFoundError):
        CaptionClient(tls=TlsOptions(ca=tmp_path / "none.pem"))
    (tmp_path / "text.pem").write_text("no certificate")
    with pytest.raises(ValueError, match="expected a PEM file"):
        CaptionClient(tls=TlsOptions(ca=tmp_path / "text.pem"))


def test_the_token_goes_with_every_call(address, server, authority):
    with CaptionClient(address, token="s3cret") as client:
        client.caption([jpeg()])
    assert server.calls[0].metadata["authorization"] == "Bearer s3cret"
    assert "s3cret" not in repr(Settings(token="s3cret"))


def test_a_token_is_not_sent_where_others_can_read_it():
    with pytest.raises(ValueError, match=r"captions\.example\.org:8500 would be sent unencrypted"):
        CaptionClient("captions.example.org:8500", token="s3cret")
    CaptionClient("captions.example.org:8500", token="s3cret", plaintext_token=True).close()
    CaptionClient("captions.example.org:8500", token="s3cret", tls=TlsOptions()).close()


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("127.0.0.1:8500", True),
        ("127.8.8.8:8500", True),
        ("localhost:8500", True),
        ("[::1]:8500", True),
        ("unix:/run/captions.sock", True),
        ("dns:///localhost:8500", True),
        ("0.0.0.0:8500", False),
        ("192.168.0.7:8500", False),
        ("localhost.example.org:8500", False),
        ("127.0.0.1.example.org:8500", False),
        ("[2001:db8::1]:8500", False),
        ("ipv4:127.0.0.1:8500,10.0.0.1:8500", False),
    ],
)
def test_loopback_addresses_are_told_from_others(address, here):
    assert client_channel.is_loopback(address) is here


@pytest.mark.parametrize("token", ["", "two words", "line\n", "schlüssel"])
def test_what_cannot_be_a_token_is_refused(token):
    with pytest.raises(ValueError, match="expected a token"):
        CaptionClient(token=token)


@pytest.mark.parametrize("timeout_s", [1, 30, 60, 600])
def test_pings_are_too_few_to_annoy_a_server_with_defaults(timeout_s):
    """Such a server ends a connection at the third ping that is less than 300 s after the one before."""
    options = dict(client_channel.channel_options(timeout_s, None))
    interval = options["grpc.keepalive_time_ms"] / 1000
    assert interval >= 30
    assert options["grpc.keepalive_permit_without_calls"] == 0
    pings = int(timeout_s / interval)
    assert pings - 1 <= 2 or interval >= 300
