"""What lies beside a SavedModel for the Evaluator: captions learned from, and the encoder's fingerprint."""

import pathlib

from models import encoder_identity
from models.seen_captions import SeenCaptions


def test_a_caption_is_known_by_its_words_alone(tmp_path: pathlib.Path) -> None:
    SeenCaptions.of(["A dog runs.", "two cats", "two cats"]).write(str(tmp_path))
    seen = SeenCaptions.read(str(tmp_path))
    assert seen is not None
    assert ("a", "dog", "runs") in seen
    assert ("two", "cats") in seen
    assert ("two", "dogs") not in seen
    assert () not in seen


def test_of_no_captions_none_is_known(tmp_path: pathlib.Path) -> None:
    assert ("a",) not in SeenCaptions.of([])
    assert SeenCaptions.read(str(tmp_path)) is None


def test_the_encoder_is_known_where_it_is_noted(tmp_path: pathlib.Path) -> None:
    assert encoder_identity.read(str(tmp_path)) == ""
    encoder_identity.write(str(tmp_path), "abc")
    assert encoder_identity.read(str(tmp_path)) == "abc"
