"""The request log: what it keeps, what it never keeps, and that no request waits for it or fails of it."""

import dataclasses
import functools
import io
import json
import pathlib
import random
import subprocess
import sys
import threading

import grpc
import numpy as np
import pytest
from PIL import Image
from tensorflow_serving.apis import prediction_service_pb2_grpc

from models import features
from serving import logged_image, options, request_log, settings
from serving.calls import Call
from serving.logged_image import LoggedImage
from serving.request_log import RequestLog
from serving.request_log_files import LogFiles
from tests.serving import support
from tests.serving.support import jpeg, predict_request
from tests.serving.test_monitoring import free_port, get, samples

CALL = Call("id-of-a-person", "Predict", "ipv4:192.0.2.7", "ana", "captioner", 17, "beam")
ALL = 1.0


def inputs(*images: bytes) -> dict[str, np.ndarray]:
    return {features.IMAGE_BYTES_INPUT: np.array([*images, None], object)[:-1]}


def outputs(
    captions: list[list[bytes]], log_probs: list[list[float]], statuses: list[bytes]
) -> dict[str, np.ndarray]:
    return {
        features.CAPTION_OUTPUT: np.array(captions, object),
        features.LOG_PROB_OUTPUT: np.array(log_probs, np.float32),
        features.STATUS_OUTPUT: np.array(statuses, object),
    }


def captioned(count: int = 1) -> dict[str, np.ndarray]:
    return outputs([[b"a dog runs", b"a dog"]] * count, [[-0.5, -1.5]] * count, [b"ok"] * count)


def open_log(folder: pathlib.Path, sample: float = ALL, **settings) -> RequestLog:
    return RequestLog(LogFiles(folder, 1 << 20, 3), sample, **settings)


def images_of(folder: pathlib.Path) -> list[LoggedImage]:
    found = logged_image.read(folder, days=1)
    assert found.unreadable == 0
    return found.images


def text_of(folder: pathlib.Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*"))


# What is kept.


def test_an_image_leaves_a_line_of_numbers(tmp_path):
    log = open_log(tmp_path, clock=lambda: 1_700_000_000.12345)
    picture = jpeg(40, 30)
    log.add(CALL, inputs(picture), captioned())
    log.close()
    assert images_of(tmp_path) == [
        LoggedImage(1_700_000_000.123, "captioner", 17, "beam", "jpeg", 40, 30, len(picture), "ok", 3, -0.5)
    ]
    assert log.counts == {"written": 1, "queue_full": 0, "not_written": 0}


@pytest.mark.parametrize("form", ["jpeg", "png", "gif", "bmp", "webp"])
def test_format_and_size_are_those_of_the_header(tmp_path, form):
    file = io.BytesIO()
    Image.new("RGB", (31, 17)).save(file, form)
    log = open_log(tmp_path)
    log.add(CALL, inputs(file.getvalue()), captioned())
    log.close()
    (image,) = images_of(tmp_path)
    assert (image.format, image.width, image.height) == (form, 31, 17)


def test_an_image_that_was_refused_has_its_reason_and_no_caption(tmp_path):
    log = open_log(tmp_path)
    log.add(
        CALL,
        inputs(b"no image", jpeg()),
        outputs(
            [[b""]] * 2, [[0.0]] * 2, [features.STATUS_NOT_AN_IMAGE.encode(), b"beam_width of ana's dog"]
        ),
    )
    log.close()
    bad, odd = images_of(tmp_path)
    assert (bad.status, bad.format, bad.width, bad.file_bytes) == (
        features.STATUS_NOT_AN_IMAGE,
        "other",
        0,
        8,
    )
    assert odd.status == "refused", "a text of the model's own may quote what it was given"
    assert bad.caption_words is bad.log_prob is odd.caption_words is odd.log_prob is None


def test_signatures_without_captions_or_images(tmp_path):
    log = open_log(tmp_path)
    log.add(CALL, inputs(jpeg()), {features.STATUS_OUTPUT: np.array([b"ok"], object)})
    log.add(CALL, {"x": np.zeros(3)}, {"y": np.zeros(3)})
    log.add(CALL, inputs(jpeg()), {features.LOG_PROB_OUTPUT: np.array([-np.inf], np.float32)})
    log.close()
    assert [(image.caption_words, image.log_prob) for image in images_of(tmp_path)] == [(None, None)] * 2


def test_nothing_of_image_caption_or_caller_is_kept(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "secret"
    file = io.BytesIO()
    Image.effect_noise((64, 48), 90).save(file, "jpeg", exif=exif)
    picture = file.getvalue()
    assert b"secret" in picture
    log = open_log(tmp_path)
    log.add(CALL, inputs(picture, b"\xff\xd8secret"), captioned(2))
    log.add(CALL, inputs(picture), outputs([[b"secret"]], [[-1.0]], [b"secret"]))
    log.close()
    text = text_of(tmp_path)
    assert len(images_of(tmp_path)) == 3
    for forbidden in (b"secret", b"dog", b"192.0.2.7", b"ana", b"id-of-a-person"):
        assert forbidden not in text
    pieces = {picture[start : start + 4] for start in range(len(picture) - 3)}
    assert not [piece for piece in pieces if piece in text], "not even four bytes of it"


def test_the_fields_are_those_documented():
    """Whoever adds one thinks of whose data it is."""
    assert {field.name for field in dataclasses.fields(LoggedImage)} == {
        *("time", "model", "version", "signature"),
        *("format", "width", "height", "file_bytes", "status", "caption_words", "log_prob"),
    }


def test_the_sample_is_that_of_the_draws(tmp_path):
    log = open_log(tmp_path, 0.25, draw=random.Random(7).random)
    sizes = [(1 + number, 8) for number in range(60)]
    for start in range(0, len(sizes), 3):  # requests of three images
        pictures = [jpeg(*size) for size in sizes[start : start + 3]]
        log.add(CALL, inputs(*pictures), captioned(3))
    log.close()
    draws = random.Random(7)
    drawn = [size for size in sizes if draws.random() < 0.25]
    assert [(image.width, image.height) for image in images_of(tmp_path)] == drawn
    assert 0 < len(drawn) < 30


@pytest.mark.parametrize(("sample", "count"), [(0.0, 0), (1.0, 50)])
def test_all_or_nothing_may_be_asked_for(tmp_path, sample, count):
    log = open_log(tmp_path, sample)
    for _ in range(50):
        log.add(CALL, inputs(jpeg()), captioned())
    log.close()
    assert len(images_of(tmp_path)) == count


# Files.


def row(time: float = 1.0, **fields) -> LoggedImage:
    return LoggedImage(time, "captioner", 1, "beam", "jpeg", 40, 30, 700, "ok", 3, -0.5, **fields)


def line(time: float = 1.0) -> bytes:
    return row(time).to_json().encode() + b"\n"


def test_files_are_bounded_in_size_and_number(tmp_path):
    files = LogFiles(tmp_path, 3 * len(line(10.0)), 4)
    for time in range(40):
        files.append(line(10.0 + time))
        kept = list(tmp_path.iterdir())
        assert len(kept) <= 4
        assert all(path.stat().st_size <= 3 * len(line(10.0)) for path in kept)
    files.close()
    assert [image.time for image in images_of(tmp_path)] == [10.0 + time for time in range(30, 40)]


def test_several_servers_may_share_a_folder_or_have_one_each(tmp_path):
    one, two, three = (LogFiles(tmp_path / name, 1 << 20, 2) for name in ("a", "a", "b"))
    for number, files in enumerate((one, two, three, one)):
        files.append(line(float(number)))
    assert [image.time for image in images_of(tmp_path)] == [0.0, 1.0, 2.0, 3.0]
    assert len(list((tmp_path / "a").iterdir())) == 2


def test_half_a_line_is_none_and_what_is_no_line_is_counted(tmp_path):
    whole = line()
    odd = json.loads(whole)
    (tmp_path / "requests-1-a.jsonl").write_bytes(
        whole
        + b"not json\n\x00\x00\n[]\n"
        + json.dumps(odd | {"width": "40"}).encode()
        + b"\n"
        + json.dumps(odd | {"caption": "a dog"}).encode()
        + b"\n"
        + whole
        + whole[:-1]
    )
    (tmp_path / "requests-2-b.jsonl").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "other.jsonl").write_bytes(whole)
    found = logged_image.read(tmp_path, days=1)
    assert found.images == [row(), row()]
    assert found.unreadable == 5


@pytest.mark.parametrize("length", range(len(line()) - 1))
def test_no_beginning_of_a_line_reads_as_one(length):
    with pytest.raises(json.JSONDecodeError):
        LoggedImage.from_json(line()[:length])


def test_the_newest_are_read(tmp_path):
    files = LogFiles(tmp_path, len(line()), 100)
    for day in range(40):
        files.append(line(day * logged_image.DAY_S))
    files.close()
    assert len(logged_image.read(tmp_path, days=30).images) == 31
    newest = logged_image.read(tmp_path, days=30, most=5).images
    assert [image.time / logged_image.DAY_S for image in newest] == [35, 36, 37, 38, 39]
    assert logged_image.read(tmp_path / "none", days=30).images == []


def test_a_disk_without_room_leaves_whole_lines(tmp_path, monkeypatch):
    """Half of what was asked is written, as when the last block fills up; then nothing."""
    import os

    real, files = os.write, LogFiles(tmp_path, 1 << 20, 2)
    files.append(line(1.0))
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda file, data: real(file, data[: len(data) // 2]))
        for _ in range(9):
            with pytest.raises(OSError, match="no room"):
                files.append(line(2.0) + line(3.0))
        full.setattr(os, "ftruncate", lambda file, size: real(-1, b""))
        with pytest.raises(OSError, match="no room"):
            files.append(line(4.0))
    assert [image.time for image in images_of(tmp_path)] == [1.0], "what was good is still there"
    files.append(line(5.0))
    assert [image.time for image in images_of(tmp_path)] == [1.0, 5.0]


def test_a_folder_that_was_removed_is_made_again(tmp_path):
    files = LogFiles(tmp_path / "log", 1 << 20, 2)
    files.append(line(1.0))
    next((tmp_path / "log").iterdir()).unlink()
    (tmp_path / "log").rmdir()
    files.append(line(2.0))
    assert [image.time for image in images_of(tmp_path / "log")] == [2.0]


def test_a_killed_server_leaves_whole_lines(tmp_path):
    """Killed in the middle of writing, five times; each goes on with a file of its own."""
    script = (
        "import pathlib, sys\n"
        "from serving.request_log_files import LogFiles\n"
        "files = LogFiles(pathlib.Path(sys.argv[1]), 1 << 20, 100)\n"
        "while True:\n"
        "    files.append(sys.argv[2].encode() + b'\\n')\n"
    )

    def has(size: int) -> bool:
        return len(text_of(tmp_path)) > size

    for _ in range(5):
        enough = len(text_of(tmp_path)) + 50_000
        with subprocess.Popen([sys.executable, "-c", script, str(tmp_path), row().to_json()]) as server:
            support.wait_until(functools.partial(has, enough))
            server.kill()
    found = logged_image.read(tmp_path, days=1)
    assert found.unreadable == 0
    assert len(found.images) > 5 * 50_000 // len(line())
    assert set(found.images) == {row()}


# Nobody waits for it.


class Hanging(LogFiles):
    """A disk that does not answer before `release` is set."""

    def __init__(self, folder: pathlib.Path):
        super().__init__(folder, 1 << 20, 2)
        self.asked, self.release = threading.Event(), threading.Event()

    def append(self, lines: bytes) -> None:
        self.asked.set()
        assert self.release.wait(60)
        super().append(lines)


def test_what_a_slow_disk_cannot_take_is_dropped_and_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(request_log, "_MOST_WAITING", 5)
    files = Hanging(tmp_path)
    log = RequestLog(files, ALL)
    log.add(CALL, inputs(jpeg()), captioned())
    assert files.asked.wait(60)
    log.add(CALL, inputs(*[jpeg()] * 12), captioned(12))
    assert log.counts == {"written": 0, "queue_full": 7, "not_written": 0}
    files.release.set()
    log.close()
    assert log.counts == {"written": 6, "queue_full": 7, "not_written": 0}
    assert len(images_of(tmp_path)) == 6


def test_a_disk_that_hangs_does_not_keep_the_server(tmp_path, monkeypatch):
    monkeypatch.setattr(request_log, "_CLOSE_S", 0.01)
    monkeypatch.setattr(request_log, "_MOST_WAITING", 1)
    files = Hanging(tmp_path)
    log = RequestLog(files, ALL)
    log.add(CALL, inputs(jpeg()), captioned())
    assert files.asked.wait(60)
    log.close()
    log.add(CALL, inputs(jpeg()), captioned())
    log.close()
    files.release.set()


@pytest.mark.parametrize(("retry_s", "written"), [(0.0, 3), (1e6, 0)], ids=["soon", "not at once"])
def test_a_log_that_cannot_be_written_is_tried_again(tmp_path, monkeypatch, caplog, retry_s, written):
    monkeypatch.setattr(request_log, "_RETRY_S", retry_s)
    folder = tmp_path / "log"
    folder.write_text("in the way")
    log = open_log(folder)

    def counted(total: int) -> bool:
        return sum(log.counts.values()) == total

    def add(times: int) -> None:
        for _ in range(times):
            total = 1 + sum(log.counts.values())
            log.add(CALL, inputs(jpeg()), captioned())
            support.wait_until(functools.partial(counted, total))

    with caplog.at_level("INFO", logger="absl"):
        add(4)
        folder.unlink()
        add(3)
        log.close()
    assert log.counts == {"written": written, "queue_full": 0, "not_written": 7 - written}
    assert len(images_of(folder)) == written
    said = [record.levelname for record in caplog.records]
    assert said == ["ERROR", "INFO"][: 1 + bool(written)], "said once, not for each row"


def test_outputs_that_are_not_as_expected_fail_no_request(tmp_path, caplog):
    log = open_log(tmp_path)
    log.add(CALL, inputs(jpeg()), {features.STATUS_OUTPUT: np.array([3])})
    log.add(CALL, inputs(jpeg()), captioned())
    log.close()
    assert "could not be logged" in caplog.text
    assert len(images_of(tmp_path)) == 1


# A whole server.


def predicting(address: str):
    channel = grpc.insecure_channel(address)
    return channel, prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict


def rows_total(port: int, result: str) -> float:
    found = samples(get(port, "/monitoring/prometheus/metrics")[1])
    return found.get(("captioner_request_log_rows_total", ("result", result)), -1.0)


def test_a_server_logs_what_it_answered(tmp_path, saved_model):
    folder, port = tmp_path / "requests", free_port()
    told = {"request_log": str(folder), "request_log_sample": 1.0, "monitoring_port": port}
    pictures = [jpeg(40, 30), b"no image", jpeg(20, 50)]
    with support.server_in_thread(saved_model.parent, **told) as address:
        support.wait_ready(address)
        channel, predict = predicting(address)
        with channel:
            predict(predict_request(pictures), timeout=30, metadata=(("x-request-id", "photo-7"),))
            predict(predict_request([jpeg(8, 9)], features.GREEDY_SIGNATURE), timeout=30)
            with pytest.raises(grpc.RpcError):
                predict(predict_request([jpeg()], "no_such"), timeout=30)
        support.wait_until(lambda: rows_total(port, "written") == 4)
        assert rows_total(port, "queue_full") == rows_total(port, "not_written") == 0
    images = images_of(folder)
    assert {(image.model, image.version) for image in images} == {("captioner", 1)}
    assert [(image.signature, image.width, image.height, image.status) for image in images] == [
        ("serving_default", 40, 30, "ok"),
        ("serving_default", 0, 0, features.STATUS_NOT_AN_IMAGE),
        ("serving_default", 20, 50, "ok"),
        ("greedy", 8, 9, "ok"),
    ]
    assert [image.caption_words for image in images] == [4, None, 4, 4], "v1: 40 x 30"
    assert images[0].log_prob == -0.5
    text = text_of(folder)
    assert b"photo-7" not in text
    assert b"127.0.0.1" not in text
    assert b"no image" not in text.replace(features.STATUS_NOT_AN_IMAGE.encode(), b"")
    assert not any(picture[start : start + 6] in text for picture in pictures[::2] for start in range(300))


def test_a_server_whose_log_cannot_be_written_answers_all_the_same(tmp_path, saved_model):
    folder, port = tmp_path / "requests", free_port()
    told = {"request_log": str(folder), "request_log_sample": 1.0, "monitoring_port": port}
    with support.server_in_thread(saved_model.parent, **told) as address:
        support.wait_ready(address)
        folder.rmdir()
        folder.write_text("in the way")
        channel, predict = predicting(address)
        with channel:
            for _ in range(5):
                assert predict(predict_request([jpeg()]), timeout=30).outputs
        support.wait_until(lambda: rows_total(port, "not_written") == 5)
    assert folder.read_text() == "in the way"


def test_without_the_flag_nothing_is_logged(tmp_path, saved_model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    port = free_port()
    with support.server_in_thread(saved_model.parent, monitoring_port=port) as address:
        support.wait_ready(address)
        channel, predict = predicting(address)
        with channel:
            predict(predict_request([jpeg()]), timeout=30)
        assert rows_total(port, "written") == -1.0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"request_log_sample": 1.5}, "is a share, at most 1; got 1.5"),
        ({"request_log_sample": -0.1}, "--request-log-sample must be 0 or more"),
        ({"request_log_sample": float("nan")}, "--request-log-sample must be 0 or more"),
        ({"request_log_files": 0}, "--request-log-files must be 1 or more"),
    ],
)
def test_options_that_cannot_be_right_are_refused(tmp_path, wrong, words):
    with pytest.raises(ValueError, match=words):
        options.check(options.ServerOptions(str(tmp_path), **wrong))


def test_a_folder_that_is_none_is_refused_at_the_start(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="--request-log must be a folder that can be written to; got"):
        settings.request_log(options.ServerOptions(str(tmp_path), request_log=str(tmp_path / "file")))
