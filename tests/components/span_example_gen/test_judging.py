"""Every kind of bad span is named for what it is, and good ones go through beside them."""

import dataclasses
import pathlib
import random
import re
from collections.abc import Callable

import pytest
import tensorflow as tf

from models import features
from tests.components.span_example_gen.conftest import (
    Picture,
    Place,
    manifest,
    pictures,
    raw_example,
    write_shard,
    write_span,
)

TRAIN_SHARD = "train-00000-of-00001.tfrecord.gz"

Maker = Callable[[Place, int], object]
MAKERS: dict[str, Maker] = {}


def span(maker: Maker) -> Maker:
    """Spans are made in the order in which they stand here."""
    MAKERS[maker.__name__] = maker
    return maker


@span
def first(place: Place, number: int) -> None:
    place.good_span(number)


@span
def second(place: Place, number: int) -> None:
    place.good_span(number)


@span
def empty(place: Place, number: int) -> None:
    write_span(place.data, number, [], [])


@span
def torn(place: Place, number: int) -> None:
    folder = place.good_span(number)
    content = (folder / TRAIN_SHARD).read_bytes()
    (folder / TRAIN_SHARD).write_bytes(content[: len(content) // 2])


@span
def torn_without_manifest(place: Place, number: int) -> None:
    torn(place, number)
    (place.data / f"span-{number:04}/manifest.json").unlink()


@span
def changed(place: Place, number: int) -> None:
    """A file of the same length from elsewhere."""
    folder = place.good_span(number)
    content = (folder / TRAIN_SHARD).read_bytes()
    other = place.good_span(900)
    (folder / TRAIN_SHARD).write_bytes((other / TRAIN_SHARD).read_bytes()[: len(content)].ljust(len(content)))
    for path in other.iterdir():
        path.unlink()
    other.rmdir()


@span
def without_a_shard(place: Place, number: int) -> None:
    (place.good_span(number) / TRAIN_SHARD).unlink()


@span
def with_a_broken_manifest(place: Place, number: int) -> None:
    (place.good_span(number) / "manifest.json").write_text('{"splits": [')


@span
def foreign(place: Place, number: int) -> None:
    folder = place.good_span(number)
    with tf.io.TFRecordWriter(
        str(folder / TRAIN_SHARD), tf.io.TFRecordOptions(compression_type="GZIP")
    ) as writer:
        writer.write(b"a line of some log")
    manifest(folder, number)


@span
def without_captions(place: Place, number: int) -> None:
    def change(example: tf.train.Example) -> None:
        if int(example.features.feature[features.IMAGE_ID].bytes_list.value[0].split(b".")[0]) % 10 == 0:
            del example.features.feature[features.CAPTIONS]

    place.good_span(number, change=change)


@span
def of_another_type(place: Place, number: int) -> None:
    def change(example: tf.train.Example) -> None:
        width = example.features.feature[features.WIDTH]
        width.Clear()
        width.float_list.value.append(16.0)

    place.good_span(number, change=change)


@span
def not_decodable(place: Place, number: int) -> None:
    def change(example: tf.train.Example) -> None:
        example.features.feature[features.IMAGE_ENCODED].bytes_list.value[:] = [b"\xff\xd8 cut short"]

    place.good_span(number, change=change)


@span
def duplicate(place: Place, number: int) -> None:
    """The first span again, but for a few new ones."""
    old, new = pictures(1000, 40), pictures(1000 * number, 4)
    write_span(place.data, number, [*old[10:], *new], old[:10])


@span
def leaked(place: Place, number: int) -> None:
    """Two of the pictures that models are judged by are to be learned from."""
    made = pictures(1000 * number, 40)
    write_span(place.data, number, [*made[10:], *pictures(1000, 40)[:2]], made[:10])


@span
def mislabelled(place: Place, number: int) -> None:
    made = pictures(1000 * number, 40)
    captions = [picture.caption for picture in made]
    random.Random(1).shuffle(captions)
    mixed_up = [
        dataclasses.replace(picture, caption=caption) for picture, caption in zip(made, captions, strict=True)
    ]
    write_span(place.data, number, mixed_up[10:], mixed_up[:10])


@span
def drifted(place: Place, number: int) -> None:
    """Larger and darker pictures than ever."""
    made = [Picture(1000 * number + i, 5 + i % 10, f"grey {5 + i % 10}", side=128) for i in range(40)]
    write_span(place.data, number, made[10:], made[:10])


@span
def a_few_known(place: Place, number: int) -> None:
    made = pictures(1000 * number, 40)
    write_span(place.data, number, [*made[10:], *pictures(1000, 40)[10:12]], made[:10])


@span
def only_to_judge_by(place: Place, number: int) -> None:
    write_span(place.data, number, [], pictures(1000 * number, 12))


@span
def last(place: Place, number: int) -> None:
    place.good_span(number)


NUMBERS = {name: number for number, name in enumerate(MAKERS, 1)}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, grey_model: pathlib.Path) -> dict[str, dict]:
    """What one run makes of them all."""
    place = Place(tmp_path_factory.mktemp("judging"), grey_model)
    for name, maker in MAKERS.items():
        maker(place, NUMBERS[name])
    return dict(zip(MAKERS, place.run(), strict=True))


REFUSED = {
    "empty": "It is empty: there is no file of the train or eval split.",
    "torn": rf"{TRAIN_SHARD} has \d+ bytes; the manifest says \d+.",
    "torn_without_manifest": rf"{TRAIN_SHARD} is torn: \d+ records can be read, then .*",
    "changed": rf"{TRAIN_SHARD} is not the file that was imported: its SHA-256 is not the manifest's.",
    "without_a_shard": rf"{TRAIN_SHARD} is missing: the manifest has it, with 30 images.",
    "with_a_broken_manifest": r"manifest.json is not one that importers write \(JSONDecodeError: .*\)\.",
    "foreign": rf"record 1 of {TRAIN_SHARD} is not what importers write: .*",
    "without_captions": r"Feature 'captions' does not fit the schema: The feature was present in fewer "
    r"examples than expected: minimum fraction = 1.000000, actual = 0.900000.",
    "of_another_type": rf"record 1 of {TRAIN_SHARD} is not what importers write: width is float_list; "
    r"expected int64_list.",
    "not_decodable": r"40 of 40 images cannot be decoded \(100.0%\); at most 5.0% may be so.",
    "duplicate": r"It repeats known data: 40 of 44 images \(91%\) are not new: 40 of them in span 1; at most "
    r"50% may be so \(spans.max_known_images\).",
    "leaked": r"2 of 42 images \(4.8%\) are both in training and in eval data, of this span and accepted "
    r"ones; at most 1.0% may be so \(spans.max_leaked_images\): .*",
    "mislabelled": r"Its captions do not fit its images: the right image makes them -?\d\.\d\d nats a word "
    r"likelier than another one, and those of accepted spans \d\.\d\d \(.*\). They are mislabelled, or .*",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_span_is_refused_for_what_it_is(judged, name: str) -> None:
    assert judged[name]["state"] == "refused"
    assert not judged[name]["used"]
    reasons = judged[name]["reasons"]
    assert any(re.fullmatch(REFUSED[name], reason) for reason in reasons), reasons


@pytest.mark.parametrize("name", ["empty", "duplicate", "leaked", "mislabelled", "without_captions"])
def test_and_for_nothing_else(judged, name: str) -> None:
    assert len(judged[name]["reasons"]) == 1


def test_all_others_are_accepted_and_used(judged) -> None:
    good = [name for name in MAKERS if name not in REFUSED]
    assert {name: judged[name]["reasons"] for name in good} == {name: [] for name in good}
    assert all(judged[name]["used"] for name in good)


def test_a_good_span_has_nothing_to_be_said_of_it(judged) -> None:
    assert judged["second"]["warnings"] == []
    assert (judged["second"]["images"], judged["second"]["captions"]) == (40, 40)
    assert judged["second"]["model"].startswith("3-")
    assert judged["second"]["measured"]["caption_fit"] > 0.5


def test_drift_is_named_and_accepted(judged) -> None:
    named = {each["feature"] for each in judged["drifted"]["drift"] if each["drifted"]}
    assert {"width", "height", "brightness", "feature_mean"} <= named
    assert "caption_words" not in named
    sentences = [each for each in judged["drifted"]["warnings"] if "has drifted" in each]
    assert any(each.startswith("Image width in pixels (width) has drifted") for each in sentences)


def test_a_few_known_pictures_are_counted(judged) -> None:
    assert judged["a_few_known"]["measured"]["known_images"] == 2
    (warning,) = (each for each in judged["a_few_known"]["warnings"] if "not new" in each)
    assert warning == "2 of 42 images (5%) are not new: 2 of them in span 1."


def test_a_span_may_be_there_to_judge_by_alone(judged) -> None:
    assert "It has no training images: nothing is learned from it." in judged["only_to_judge_by"]["warnings"]


def test_drift_may_be_a_reason_to_refuse(served: Place) -> None:
    first(served, 1)
    drifted(served, 2)
    assert [each["state"] for each in served.run(on_drift="refuse")] == ["accepted", "refused"]


def test_without_a_model_captions_are_not_looked_at(place: Place) -> None:
    first(place, 1)
    mislabelled(place, 2)
    known = place.run()
    assert [each["state"] for each in known] == ["accepted", "accepted"]
    assert "unknown_share" not in {each["feature"] for each in known[1]["drift"]}
    assert known[1]["model"] == ""


def test_words_that_the_model_does_not_know_are_drift_and_no_wrong_captions(served: Place) -> None:
    first(served, 1)
    made = [
        dataclasses.replace(picture, caption=f"ein graues Bild {i}")
        for i, picture in enumerate(pictures(2000, 40))
    ]
    write_span(served.data, 2, made[10:], made[:10])
    known = served.run()[1]
    assert known["state"] == "accepted"
    assert any("no images of the span have captions in words" in each for each in known["warnings"])
    (share,) = (each for each in known["drift"] if each["feature"] == "unknown_share")
    assert share["drifted"]


def test_pictures_repeated_within_a_span_are_not_new(place: Place) -> None:
    (one,) = pictures(1, 1)
    folder = place.data / "span-0001"
    folder.mkdir(parents=True)
    write_shard(folder / TRAIN_SHARD, [raw_example(one, 1)] * 20)
    manifest(folder, 1)
    place.good_span(2)
    repeated, _ = place.run()
    assert repeated["reasons"] == [
        "It repeats known data: 19 of 20 images (95%) are not new: they repeat others of this span; at most "
        "50% may be so (spans.max_known_images)."
    ]
