"""Unknown words are drift of the captions, and never of the vocabulary that they are looked up in."""

import json
import pathlib
import shutil

import pytest

from components.span_example_gen import records, spans
from components.span_example_gen.served_model import ServedModel
from models import encoder_identity, features
from tests.components.span_example_gen.conftest import Place, pictures, write_span

SMALL = ("grey",)
GROWN = ("grey", *map(str, range(256)))


def serve(place: Place, version: int, words: tuple[str, ...]) -> ServedModel:
    """Puts a model in service, as far as spans are judged by it where captions' fit is not looked at."""
    folder = place.serving / str(version)
    (folder / "assets").mkdir(parents=True)
    (folder / "assets" / "vocabulary").write_text("\n".join([*features.ACTION_WORDS, *words]) + "\n")
    (folder / "saved_model.pb").write_text(f"version {version}")
    encoder_identity.write(str(folder), "greys")
    model = ServedModel.find(str(place.serving))
    assert model is not None
    return model


def judge_newest(place: Place) -> dict:
    """Judges new spans, and returns what was found of the newest."""
    return place.run(min_caption_fit=0.0)[-1]


def compared(judgement: dict) -> set[str]:
    return {each["feature"] for each in judgement["drift"]}


def drifted(judgement: dict) -> set[str]:
    return {each["feature"] for each in judgement["drift"] if each["drifted"]}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    root = tmp_path_factory.mktemp("judged")
    place = Place(root, root / "serving")
    serve(place, 1, SMALL)
    place.good_span(1)
    judge_newest(place)
    return root


@pytest.fixture
def small(place: Place, judged: pathlib.Path) -> Place:
    """With a span that a model of few words judged: half of the words were unknown to it."""
    shutil.copytree(judged, place.root, dirs_exist_ok=True)
    return place


def test_the_same_words_in_another_vocabulary_are_no_drift(small: Place) -> None:
    serve(small, 2, GROWN)
    small.good_span(2)
    second = judge_newest(small)
    assert drifted(second) == set()
    assert compared(second) == {"caption_words", "width", "height", "brightness"}
    small.good_span(3)
    third = judge_newest(small)
    assert "unknown_share" in compared(third), "the second span was judged by the same vocabulary"
    assert drifted(third) == set()


def test_other_words_in_the_same_vocabulary_are_drift(small: Place) -> None:
    made = pictures(2000, 40, caption="ein Grauton")
    write_span(small.data, 2, made[10:], made[:10])
    assert drifted(judge_newest(small)) == {"unknown_share"}


def test_a_record_of_a_version_that_noted_no_vocabulary_is_read(small: Place) -> None:
    path = small.records / "span-0001.json"
    kept = json.loads(path.read_text())
    assert kept.pop("vocabulary_digest")
    path.write_text(json.dumps(kept))
    (known,) = records.read(str(small.records), spans.find(str(small.data)))
    assert known.record is not None
    assert known.record.vocabulary_digest == ""
    small.good_span(2)
    second = judge_newest(small)
    assert "unknown_share" not in compared(second), "nobody knows in what vocabulary it was counted"
    assert "width" in compared(second)


def test_a_vocabulary_is_its_words_in_whatever_order(place: Place) -> None:
    models = [
        serve(place, version, words)
        for version, words in enumerate((GROWN, tuple(reversed(GROWN)), SMALL), start=1)
    ]
    first, reordered, other = (model.vocabulary_digest for model in models)
    assert first == reordered
    assert first != other
    assert "" not in (first, other)


def test_a_model_without_a_vocabulary_has_no_digest_of_it(place: Place) -> None:
    (place.serving / "1").mkdir(parents=True)
    (place.serving / "1/saved_model.pb").write_text("of another kind")
    model = ServedModel.find(str(place.serving))
    assert model is not None
    assert (model.vocabulary, model.vocabulary_digest) == ("", "")
