"""`captioner caption` shows captions in order, goes on after bad photos, and says at the end what failed."""

import argparse
import io
import json
import os
import pathlib
import pty
import re
import sys
import threading
from collections.abc import Callable, Iterator

import grpc
import pytest

from pipeline import caption_output, caption_photos
from pipeline.commands import caption
from pipeline.errors import UserError
from tests.serving import scripted
from tests.serving.pki import Authority
from tests.serving.scripted import Scripted
from tests.serving.support import jpeg

Code = grpc.StatusCode


@pytest.fixture
def server() -> Scripted:
    return Scripted()


@pytest.fixture
def address(server: Scripted) -> Iterator[str]:
    with scripted.serving(server) as address:
        yield address


@pytest.fixture
def run(address: str) -> Callable[..., int]:
    def run(*arguments: object, server: str = address) -> int:
        parser = argparse.ArgumentParser()
        caption.add_arguments(parser)
        return caption.run(parser.parse_args([*map(str, arguments), "--server", server]))

    return run


@pytest.fixture
def photos(tmp_path: pathlib.Path) -> dict[str, pathlib.Path]:
    files = {name: tmp_path / f"{name}.jpg" for name in ("good", "bad", "none")}
    files["good"].write_bytes(jpeg())
    files["bad"].write_text("this is no picture")
    return files


@pytest.fixture
def album(tmp_path: pathlib.Path) -> pathlib.Path:
    """30 photos, 40 to 69 pixels wide."""
    folder = tmp_path / "album"
    folder.mkdir()
    for width in range(40, 70):
        (folder / f"{width}.jpg").write_bytes(jpeg(width))
    return folder


# What is printed


def test_the_best_caption_of_each_photo_is_a_line(run, photos, capsys):
    assert run(photos["good"], photos["good"]) == 0
    assert capsys.readouterr() == (f"{photos['good']}: 40 x 30\n" * 2, "")


def test_several_captions_are_several_lines(run, photos, capsys):
    assert run("--num", 2, photos["good"]) == 0
    assert capsys.readouterr().out == f"{photos['good']}: 40 x 30\n{photos['good']}: a picture\n"


def test_captions_come_alone(run, photos, capsys):
    assert run("--format", "captions", photos["good"], photos["good"]) == 0
    assert capsys.readouterr().out == "40 x 30\n40 x 30\n"


@pytest.mark.parametrize("flags", [["--json"], ["--format", "jsonl"]])
def test_json_lines_have_all_captions_and_every_photo(run, photos, capsys, flags):
    assert run(*flags, photos["good"], photos["none"]) == 1
    out, err = capsys.readouterr()
    good, missing = map(json.loads, out.splitlines())
    assert good == {
        "file": str(photos["good"]),
        "captions": ["40 x 30", "a picture"],
        "log_probs": [-1.25, -2.5],
    }
    assert missing == {"file": str(photos["none"]), "error": "no such file"}
    assert err == "captioner: 1 of 2 photos have no caption: 1 could not be read\n"


def test_a_bad_photo_does_not_stop_the_others_and_fails_the_command(run, photos, capsys):
    assert run(photos["none"], photos["bad"], photos["good"]) == 1
    out, err = capsys.readouterr()
    assert out == f"{photos['good']}: 40 x 30\n"
    first, second, last = err.splitlines()
    assert first == f"{photos['none']}: no such file"
    assert second.startswith(f"{photos['bad']}: not an image")
    assert last == "captioner: 2 of 3 photos have no caption: 1 could not be read, 1 not an image"


def test_one_bad_photo_needs_no_count(run, photos, capsys):
    assert run(photos["none"]) == 1
    assert capsys.readouterr() == ("", f"{photos['none']}: no such file\n")


def test_names_that_cannot_be_printed_are_shown_all_the_same(run, tmp_path, capsys):
    name = os.fsencode(tmp_path) + b"/\xff\x1b[2J\n.jpg"
    pathlib.Path(os.fsdecode(name)).write_bytes(jpeg())
    assert run(os.fsdecode(name)) == 0
    assert capsys.readouterr().out == f"{tmp_path}/\ufffd\ufffd[2J\ufffd.jpg: 40 x 30\n"
    assert run("--json", os.fsdecode(name)) == 0
    assert json.loads(capsys.readouterr().out)["file"] == f"{tmp_path}/\ufffd\x1b[2J\n.jpg"


def test_standard_input_is_a_photo(run, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(jpeg(50))))
    assert run("-") == 0
    assert capsys.readouterr().out == "-: 50 x 30\n"


# On a terminal


class Terminal:
    """A terminal of 80 columns for what the command writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
        self._monkeypatch = monkeypatch
        self._reader, writer = pty.openpty()
        self._stream = os.fdopen(writer, "w", encoding="utf-8")
        self._written: list[bytes] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def attach(self, *names: str) -> None:
        """Makes it `sys.stdout` or `sys.stderr`; in the test itself, for pytest sets both before it."""
        for name in names:
            self._monkeypatch.setattr(sys, name, self._stream)

    def text(self) -> str:
        """All that was written; nothing can be written from then on."""
        self._stream.close()
        self._thread.join()
        return b"".join(self._written).decode().replace("\r\n", "\n")

    def close(self) -> None:
        self.text()
        os.close(self._reader)

    def _read(self) -> None:
        try:
            while data := os.read(self._reader, 4096):
                self._written.append(data)
        except OSError:
            pass  # the other side is closed


@pytest.fixture
def terminal(monkeypatch) -> Iterator[Terminal]:
    terminal = Terminal(monkeypatch)
    yield terminal
    terminal.close()


def plain(text: str) -> str:
    """Without what moves the cursor and sets colours."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_terminal_gets_a_table(run, tmp_path, terminal, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "[red]b.jpg"):
        pathlib.Path(name).write_bytes(jpeg())
    terminal.attach("stdout", "stderr")
    assert run("--num", 2, "a.jpg", "[red]b.jpg", "none.jpg") == 1
    lines = [line.rstrip() for line in plain(terminal.text()).splitlines()]
    assert re.fullmatch(r" ?file +caption +probability", lines[0]), lines[0]
    assert set(lines[1]) <= {" ", "─"}
    rows = [line.split() for line in lines[2:]]
    assert rows == [
        ["a.jpg", "40", "x", "30", "29%"],
        ["a", "picture", "8.2%"],
        ["[red]b.jpg", "40", "x", "30", "29%"],
        ["a", "picture", "8.2%"],
        ["none.jpg:", "no", "such", "file"],
        ["captioner:", "1", "of", "3", "photos", "have", "no", "caption:", "1", "could", "not", "be", "read"],
    ]
    assert len({line.rindex("%") for line in lines[2:6]}) == 1, "one under the other"


def test_many_photos_show_progress_on_a_terminal(run, album, terminal):
    terminal.attach("stdout", "stderr")
    assert run(album) == 0
    text = terminal.text()
    assert "captioning" in text
    assert "ETA" in text
    assert "/30" in text
    rows = [line for line in plain(text).splitlines() if "x 30" in line]
    assert [int(re.search(r"(\d+) x 30", row)[1]) for row in rows] == list(range(40, 70))


def test_what_is_piped_has_no_progress_in_it(run, album, terminal, capsys):
    terminal.attach("stderr")
    assert run("--format", "captions", album) == 0
    assert capsys.readouterr().out.splitlines() == [f"{width} x 30" for width in range(40, 70)]
    assert "captioning" in terminal.text()


@pytest.mark.parametrize(
    ("log_prob", "shown"),
    [(0.0, "100%"), (-0.01, "99%"), (-1.25, "29%"), (-2.5, "8.2%"), (-9.0, "0.012%"), (-50.0, "1.9e-20%")],
)
def test_probabilities_have_two_digits(log_prob, shown):
    assert caption_output.probability(log_prob) == shown


# Many photos


def test_answers_keep_the_order_of_the_photos_whatever_takes_long(run, server, album, capsys):
    together = threading.Barrier(2)
    server.script = [together, together, 0.4, 0.0]
    assert run("--format", "captions", album) == 0
    assert capsys.readouterr().out.splitlines() == [f"{width} x 30" for width in range(40, 70)]
    assert sorted(server.counts) == [6, 8, 8, 8]
    assert server.most_at_once > 1


def test_few_photos_are_in_memory_at_once(server, address):
    """A batch is read only when there is room for it."""
    from pipeline.photo_sources import Source
    from serving.client import CaptionClient, CaptionOptions

    release = threading.Event()
    server.script = [release] * 4
    read = []

    def source(number: int) -> Source:
        def load() -> bytes:
            read.append(number)
            return jpeg()

        return Source(str(number), load)

    with CaptionClient(address) as client:
        answers = caption_photos.caption(client, [source(i) for i in range(100)], CaptionOptions())
        threading.Timer(0.5, release.set).start()
        assert next(answers)[0] == "0"
        assert len(read) <= 8 * caption_photos.CONCURRENCY
        answers.close()


def test_a_batch_without_answer_fails_alone(run, server, album, capsys):
    server.by_width = {48: Code.RESOURCE_EXHAUSTED}
    assert run("--format", "captions", album) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == [f"{width} x 30" for width in range(40, 70) if not 48 <= width < 56]
    assert err.splitlines()[-1] == (
        "captioner: 8 of 30 photos have no caption: 8 refused by a server without room"
    )


def test_a_server_without_room_for_anything_is_not_asked_for_ever(run, server, tmp_path, capsys):
    for number in range(100):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg())
    server.script = [Code.RESOURCE_EXHAUSTED] * 100
    with pytest.raises(UserError, match="has no room"):
        run(tmp_path)
    assert len(server.calls) <= 2 * caption_photos.CONCURRENCY


# Options and errors


def test_options_reach_the_server(run, server, photos):
    run(
        "--num",
        2,
        "--sample",
        "--temperature",
        0.5,
        "--top-k",
        9,
        "--top-p",
        0.25,
        "--seed",
        7,
        photos["good"],
    )
    run("--beam", 4, "--min-tokens", 2, "--max-tokens", 9, "--length-penalty", 0.5, photos["good"])
    run("--model", "m", "--label", "canary", photos["good"])
    drawn, searched, plain = server.calls
    assert (drawn.signature, searched.signature, plain.signature) == ("sample", "beam", "serving_default")
    assert drawn.options["captions"] == [2]
    assert drawn.options["temperature"] == [0.5]
    assert drawn.options["top_k"] == [9]
    assert drawn.options["top_p"] == [0.25]
    assert drawn.options["seed"] == [7]
    assert searched.options["beam_width"] == [4]
    assert (searched.options["min_tokens"], searched.options["max_tokens"]) == ([2], [9])
    assert searched.options["length_penalty"] == [0.5]
    assert (plain.spec.name, plain.spec.version_label) == ("m", "canary")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--timeout", "0"], "--timeout"),
        (["--num", "0"], "num: expected a whole number, 1 or more; got 0"),
        (["--temperature", "0.5"], "expected only with sample=True"),
        (["--sample", "--beam", "3"], "expected only with sample=False"),
        (["--token-file", "no-such-file"], "cannot read no-such-file: No such file or directory"),
        (["--tls-ca", "no-such-file"], "cannot read no-such-file"),
        (["--tls-cert", "cert.pem"], "the key is missing"),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_is_sent(run, server, photos, flags, words):
    with pytest.raises(UserError, match=re.escape(words)):
        run(*flags, photos["good"])
    assert not server.calls


def test_options_beyond_the_model_s_bounds_are_said_once(run, server, album, capsys):
    server.outputs = {
        "caption": [[""]] * 8,
        "log_prob": [[0.0]] * 8,
        "status": ["expected 1 <= captions <= 5"] * 8,
    }
    with pytest.raises(UserError, match="does not take these options: expected 1 <= captions <= 5"):
        run("--num", 50, album)
    assert capsys.readouterr() == ("", "")


def test_the_command_says_why_the_server_did_not_answer(run, server, photos):
    server.script = [Code.NOT_FOUND]
    with pytest.raises(UserError, match="no model 'captioner' ready"):
        run(photos["good"])


def test_tls_and_a_token_are_used(run, server, photos, tmp_path, capsys):
    authority = Authority(tmp_path)
    certificate, key = (file.read_bytes() for file in authority.sign("server"))
    mine, my_key = authority.sign("me")
    (tmp_path / "token").write_text("s3cret\n")
    root = authority.file.read_bytes()
    with scripted.serving(server, grpc.ssl_server_credentials([(key, certificate)], root, True)) as address:
        flags = ["--tls-ca", authority.file, "--tls-cert", mine, "--tls-key", my_key]
        assert run(*flags, "--token-file", tmp_path / "token", photos["good"], server=address) == 0
    assert capsys.readouterr().out == f"{photos['good']}: 40 x 30\n"
    assert server.calls[0].metadata["authorization"] == "Bearer s3cret"


def test_a_token_is_not_sent_in_plain_text_to_another_machine(run, photos, tmp_path):
    (tmp_path / "token").write_text("s3cret")
    with pytest.raises(UserError, match="would be sent unencrypted"):
        run("--token-file", tmp_path / "token", photos["good"], server="captions.example.org:8500")
