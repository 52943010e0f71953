"""Those who are to be told, for real: a program, and a server on this machine."""

import http.server
import json
import logging
import pathlib
import shlex
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.continuous import notify
from pipeline.continuous.config import NotifyConfig

MESSAGE = {"state": "failed", "text": "Trainer failed: größer", "spans": [], "value": float("nan")}
SECRET = "T0KEN"


def program(code: str) -> str:
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}"


def test_a_command_gets_the_message_on_its_input_and_in_its_environment(tmp_path: pathlib.Path):
    code = (
        "import os, pathlib, sys; folder = pathlib.Path(sys.argv[1]); "
        "(folder / 'input').write_text(sys.stdin.read()); "
        "(folder / 'variable').write_text(os.environ['CAPTIONER_VERDICT']); "
        "(folder / 'state').write_text(os.environ['CAPTIONER_STATE'])"
    )
    config = NotifyConfig(command=f"{program(code)} {shlex.quote(str(tmp_path))}")
    assert notify.tell(config, MESSAGE) == {}
    expected = MESSAGE | {"value": None}
    assert json.loads((tmp_path / "input").read_text()) == expected
    assert json.loads((tmp_path / "variable").read_text()) == expected
    assert (tmp_path / "state").read_text() == "failed"


def test_a_message_too_long_for_the_environment_is_on_the_input(tmp_path: pathlib.Path):
    code = "import os, sys; sys.exit(len(sys.stdin.read()) < 200_000 or 'CAPTIONER_VERDICT' in os.environ)"
    assert notify.tell(NotifyConfig(command=program(code)), MESSAGE | {"text": "x" * 200_000}) == {}


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (program("import sys; print('no such room'); sys.exit(3)"), "ended with status 3: no such room"),
        (program("import sys; sys.stdin.close(); sys.exit(4)"), "ended with status 4."),
        ("/no/such/program", "could not be started"),
        ("'unbalanced", "could not be started"),
        (program("import time; time.sleep(60)"), "took more than 0.5 seconds and was ended"),
    ],
)
def test_a_command_that_fails_is_said(command: str, complaint: str):
    config = NotifyConfig(command=command, timeout_s=0.5 if "sleep" in command else 30)
    assert complaint in notify.tell(config, MESSAGE)["command"]


def test_only_the_endings_that_were_asked_for_are_told(tmp_path: pathlib.Path):
    config = NotifyConfig(command=f"touch {tmp_path / 'told'}", on=("pushed",))
    assert notify.tell(config, MESSAGE) == {}
    assert not (tmp_path / "told").exists()
    notify.tell(config, MESSAGE | {"state": "pushed"})
    assert (tmp_path / "told").exists()


class Server(http.server.ThreadingHTTPServer):
    """Answers with each of `answers` in turn, the last for ever, and keeps what it gets."""

    answers = (200,)
    got: list[tuple[str, dict[str, Any], str]]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, json.loads(body), self.headers["Content-Type"]))
        answer = self.server.answers[min(len(self.server.got), len(self.server.answers)) - 1]
        self.send_response(answer)
        self.send_header("Content-Length", "0")
        if 300 <= answer < 400:
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(notify, "_FIRST_WAIT_S", 0.0)
    with Server(("127.0.0.1", 0), Handler) as server:
        server.got = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def hook(server: Server, **options: Any) -> NotifyConfig:
    return NotifyConfig(
        webhook=f"http://127.0.0.1:{server.server_port}/hooks/{SECRET}?key={SECRET}", **options
    )


def test_a_webhook_gets_the_message_as_json(server: Server):
    assert notify.tell(hook(server), MESSAGE) == {}
    expected = MESSAGE | {"value": None}
    assert server.got == [(f"/hooks/{SECRET}?key={SECRET}", expected, "application/json")]


def test_a_server_that_is_not_up_to_it_at_first_is_asked_again(server: Server):
    server.answers = (503, 429, 200)
    assert notify.tell(hook(server), MESSAGE) == {}
    assert len(server.got) == 3


def test_after_the_last_attempt_it_is_said(server: Server, caplog: pytest.LogCaptureFixture):
    server.answers = (503,)
    with caplog.at_level(logging.DEBUG):
        said = notify.tell(hook(server, attempts=2), MESSAGE)
    assert said == {"webhook": "http://127.0.0.1/... refused the notification: HTTP status 503."}
    assert len(server.got) == 2
    assert SECRET not in caplog.text


def test_what_will_not_get_better_is_not_tried_again(server: Server):
    server.answers = (404,)
    assert "HTTP status 404" in notify.tell(hook(server), MESSAGE)["webhook"]
    assert len(server.got) == 1


def test_a_redirect_is_not_followed(server: Server):
    server.answers = (302,)
    assert "HTTP status 302" in notify.tell(hook(server), MESSAGE)["webhook"]
    assert len(server.got) == 1


def test_a_server_that_is_not_there_is_said_without_the_secret(
    server: Server, caplog: pytest.LogCaptureFixture
):
    config = hook(server, attempts=2)
    server.shutdown()
    server.server_close()
    with caplog.at_level(logging.DEBUG):
        said = notify.tell(config, MESSAGE)["webhook"]
    assert said.startswith("http://127.0.0.1/... could not be notified in 2 attempts: ")
    assert SECRET not in said + caplog.text


def test_a_url_may_stand_in_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOOK", hook(server).webhook)
    assert notify.tell(NotifyConfig(webhook="env:HOOK"), MESSAGE) == {}
    assert len(server.got) == 1


def test_one_that_fails_does_not_keep_the_other_from_being_told(
    server: Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("HOOK", raising=False)
    assert list(notify.tell(hook(server, command="/no/such/program"), MESSAGE)) == ["command"]
    assert len(server.got) == 1
    said = notify.tell(NotifyConfig(webhook="env:HOOK"), MESSAGE)
    assert said == {"webhook": "The webhook to notify failed: ValueError."}


@pytest.mark.parametrize("way", ["command", "webhook"])
def test_one_alone_can_be_told_when_the_other_was_already(server: Server, tmp_path: pathlib.Path, way: str):
    told = tmp_path / "told"
    assert notify.tell(hook(server, command=f"touch {told}"), MESSAGE, [way]) == {}
    assert (told.exists(), len(server.got)) == ((True, 0) if way == "command" else (False, 1))


def test_what_could_never_work_is_said_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("HOOK", raising=False)
    for config, complaint in (
        (NotifyConfig(command="/no/such/program --x"), "there is no program '/no/such/program'"),
        (NotifyConfig(command="'unbalanced"), "is no command: No closing quotation"),
        (NotifyConfig(command=" "), "is no command"),
        (NotifyConfig(webhook="env:HOOK"), "no variable 'HOOK'"),
    ):
        with pytest.raises(ValueError, match="--notify") as raised:
            notify.check(config)
        assert complaint in str(raised.value)


def test_whom_it_tells_is_shown_without_secrets(server: Server):
    config = hook(server, command=f"mail-it --password {SECRET}")
    assert notify.describe(config) == ["command mail-it", "webhook http://127.0.0.1/..."]
    assert notify.describe(NotifyConfig(webhook="env:HOOK")) == ["webhook env:HOOK"]
