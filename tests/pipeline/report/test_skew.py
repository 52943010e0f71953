"""What the report makes of a server's request log beside training and evaluation."""

import pathlib
from collections.abc import Sequence
from typing import Any

import pytest

from components.drift import statistics
from components.evaluator.records import ImageRecord, Record
from models import features as names
from pipeline.report import skew
from serving.client import CaptionClient
from serving.logged_image import DAY_S, LoggedImage
from serving.request_log_files import LogFiles
from tests.serving import support

VERSION = 17
NOON = 1_767_268_800.0  # 2026-01-01 12:00 UTC
THRESHOLD = 0.1
SIZES = [(500, 375), (500, 333), (375, 500), (333, 500)]


def image(number: int, size: tuple[int, int] = (500, 375), words: int | None = 10, **fields) -> LoggedImage:
    values: dict[str, Any] = {
        "time": NOON + 60.0 * number,
        "model": "captioner",
        "version": VERSION,
        "signature": names.SERVING_SIGNATURE,
        "format": "jpeg",
        "width": size[0],
        "height": size[1],
        "file_bytes": 50_000,
        "status": names.STATUS_OK,
        "caption_words": words,
        "log_prob": -8.0,
    }
    return LoggedImage(**values | fields)


def write(folder: pathlib.Path, images: Sequence[LoggedImage]) -> pathlib.Path:
    files = LogFiles(folder, 1 << 20, 10)
    files.append("".join(each.to_json() + "\n" for each in images).encode())
    files.close()
    return folder


def alike(count: int = 400) -> list[LoggedImage]:
    """As those trained on, with captions as in the evaluation."""
    return [image(number, SIZES[number % 4], 8 + number % 5) for number in range(count)]


@pytest.fixture
def trained() -> statistics.Statistics:
    return statistics.collect(
        {"width": [float(width)], "height": [float(height)], "caption_words": [12.0] * 5}
        for width, height in SIZES * 100
    )


@pytest.fixture
def captions() -> dict[int, list[str]]:
    return {VERSION: ["word " * (8 + number % 5) for number in range(200)]}


def by_title(found: skew.Skew) -> dict[str, skew.SkewRow]:
    return {row.title: row for row in found.rows}


def test_requests_like_the_data_are_not_skewed(tmp_path, trained, captions):
    found = skew.measure(write(tmp_path, alike()), trained, captions, THRESHOLD)
    assert [row.title for row in found.rows] == [
        "image width in pixels",
        "image height in pixels",
        "words a caption",
    ]
    assert all(row.distance == pytest.approx(0.0, abs=1e-9) and not row.skewed for row in found.rows)
    assert found.not_compared == []
    words = by_title(found)["words a caption"]
    assert (words.known.mean, words.served.mean) == (10.0, 10.0), "not people's captions, which have 12"
    assert "do not differ from its captions in the evaluation" in words.sentence


def test_large_photos_and_short_captions_are(tmp_path, trained, captions):
    served = [image(number, (4000, 3000), 3) for number in range(400)]
    found = by_title(skew.measure(write(tmp_path, served), trained, captions, THRESHOLD))
    assert all(row.skewed and row.distance == pytest.approx(1.0) for row in found.values())
    width = found["image width in pixels"]
    assert width.sentence == (
        "Image width in pixels: the images served differ from the images learned from. The distance is 1.00, "
        f"at most {width.threshold:.2f} is allowed; the mean is 4,000 instead of 427."
    )
    assert THRESHOLD < width.threshold < 2 * THRESHOLD
    assert "captions of version 17 differ" in found["words a caption"].sentence


def test_a_few_images_prove_nothing(tmp_path, trained, captions):
    """That seven are all at least 375 wide happens by chance once in eight times."""
    few = [image(number, SIZES[0], 8 + number % 5) for number in range(7)]
    found = skew.measure(write(tmp_path, few), trained, captions, THRESHOLD)
    assert max(row.distance for row in found.rows) > THRESHOLD
    assert not any(row.skewed for row in found.rows)


def test_only_captions_written_as_in_the_evaluation_are_compared_with_it(tmp_path, trained, captions):
    served = [
        *alike(),
        *(image(number, words=1, signature=names.BEAM_SIGNATURE) for number in range(400)),
        *(image(number, words=1, version=16) for number in range(400)),
        *(image(number, words=None, status=names.STATUS_NOT_AN_IMAGE) for number in range(400)),
    ]
    words = by_title(skew.measure(write(tmp_path, served), trained, captions, THRESHOLD))["words a caption"]
    assert (words.served.images, words.served.mean) == (400, 10.0)


def test_each_version_is_compared_with_its_own_evaluation(tmp_path, trained, captions):
    both = captions | {18: ["word " * 3] * 200, 19: ["word"]}
    served = [*alike(), *(image(number, SIZES[number % 4], 3, version=18) for number in range(400))]
    found = skew.measure(write(tmp_path, served), trained, both, THRESHOLD)
    words = [row for row in found.rows if row.title == "words a caption"]
    assert [(row.served_as, row.served.mean) for row in words] == [
        ("captions of version 17", 10.0),
        ("captions of version 18", 3.0),
    ]
    assert not any(row.skewed for row in words)
    assert found.not_compared == [
        "Captions of version 19: none given without options (serving_default) was logged."
    ]


def test_what_is_no_image_has_no_size_and_is_counted(tmp_path, trained):
    odd = {"format": "other", "status": names.STATUS_NOT_AN_IMAGE}
    served = [*alike(), *(image(500 + number, (0, 0), None, **odd) for number in range(100))]
    found = skew.measure(write(tmp_path, served), trained, {}, THRESHOLD)
    assert found.statuses == {"ok": 400, names.STATUS_NOT_AN_IMAGE: 100}
    assert found.formats == {"jpeg": 400, "other": 100}
    assert {row.served.images for row in found.rows} == {400}
    assert {row.served.least for row in found.rows} == {333.0}
    assert (found.since, found.until) == ("2026-01-01 12:00", "2026-01-01 21:59")


def test_only_what_is_recent_counts(tmp_path, trained):
    old = [image(0, (4000, 3000), time=NOON - 31 * DAY_S) for _ in range(400)]
    found = skew.measure(write(tmp_path, [*old, *alike()]), trained, {}, THRESHOLD, days=30)
    assert found.images == 400
    assert not any(row.skewed for row in found.rows)


def test_without_statistics_of_the_training_data_it_is_said(tmp_path):
    found = skew.measure(write(tmp_path, alike()), None, {}, THRESHOLD)
    assert found.rows == []
    assert found.not_compared == ["The images' sizes: the statistics of the training data are not known."]


def test_a_log_without_images(tmp_path, trained, captions):
    assert skew.measure(tmp_path, trained, captions, THRESHOLD) == skew.Skew(str(tmp_path))
    (tmp_path / "requests-1-a.jsonl").write_text("garbage\nhalf")
    found = skew.measure(tmp_path, trained, captions, THRESHOLD)
    assert (found.images, found.unreadable) == (0, 1)


def test_the_log_of_a_server_is_read(tmp_path):
    """From a request to the report: a picture of 40 x 30 that is captioned "v1: 40 x 30"."""
    (tmp_path / "models").mkdir()
    support.save_model(tmp_path / "models", 1)
    settings = {"request_log": str(tmp_path / "log"), "request_log_sample": 1.0}
    with support.server_in_thread(tmp_path / "models", **settings) as address:
        support.wait_ready(address)
        with CaptionClient(address) as client:
            client.caption([support.jpeg(40, 30)] * 32)
    learned = statistics.collect([{"width": [500.0], "height": [375.0]}] * 400)
    judged = {1: ["v1: 40 x 30"] * 400}
    found = by_title(skew.measure(tmp_path / "log", learned, judged, THRESHOLD))
    assert {title: (row.served.images, row.served.mean, row.skewed) for title, row in found.items()} == {
        "image width in pixels": (32, 40.0, True),
        "image height in pixels": (32, 30.0, True),
        "words a caption": (32, 4.0, False),
    }


def test_captions_by_version():
    def record(number: int) -> ImageRecord:
        judged = ("candidate", "baseline")[: 1 + number]
        models = {name: Record(f"{name} {number}", 1.0, 1.0, 1.0) for name in judged}
        return ImageRecord(f"image-{number}", "", ("a dog",), {}, models)

    records = [record(0), record(1)]
    assert skew.captions_of(records, {"candidate": 18, "baseline": 17}) == {
        18: ["candidate 0", "candidate 1"],
        17: ["baseline 1"],
    }
    assert skew.captions_of(records, {"candidate": 0, "baseline": 17}) == {17: ["baseline 1"]}
    assert skew.captions_of([], {"candidate": 18}) == {}
