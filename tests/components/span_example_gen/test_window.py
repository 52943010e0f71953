"""Which spans are learned from, and the Examples made of them."""

import os
import pathlib

import pytest
from tfx.components.util import examples_utils
from tfx.types import artifact_utils, standard_artifacts

from components.span_example_gen import records, spans, window


def judged(data: pathlib.Path, number: int, state: str, splits: tuple[str, ...] = ("train", "eval")):
    folder = data / f"span-{number:04}"
    folder.mkdir(parents=True)
    for split in splits:
        (folder / f"{split}-00000-of-00001.tfrecord.gz").write_text(f"{split} {number}")
    span = spans.find(str(data))[-1]
    return records.Judgement(span, records.Record(number, span.digest, state, ("It is torn.",)), None)


def numbers(chosen: list[spans.Span]) -> list[int]:
    return [span.number for span in chosen]


def test_the_newest_accepted_spans_are_taken(tmp_path: pathlib.Path) -> None:
    states = ["accepted", "accepted", "refused", "accepted"]
    known = [judged(tmp_path, number, state) for number, state in enumerate(states, 1)]
    assert numbers(window.choose(known, 0)) == [1, 2, 4]
    assert numbers(window.choose(known, 2)) == [2, 4]
    assert numbers(window.choose(known, 9)) == [1, 2, 4]


def test_a_span_may_lack_a_split_that_another_of_the_window_has(tmp_path: pathlib.Path) -> None:
    known = [judged(tmp_path, 1, "accepted"), judged(tmp_path, 2, "accepted", splits=("train",))]
    assert numbers(window.choose(known, 0)) == [1, 2]
    with pytest.raises(ValueError, match=r"no eval images in the window \(span 2\).*wider spans.window"):
        window.choose(known, 1)


def test_without_an_accepted_span_each_refused_one_is_named_with_the_reason(tmp_path: pathlib.Path) -> None:
    known = [judged(tmp_path, number, "refused") for number in (1, 2)]
    with pytest.raises(ValueError, match=r"(?s)span-0001: It is torn\..*span-0002: .*spans accept"):
        window.choose(known, 0)
    with pytest.raises(ValueError, match="captioner import"):
        window.choose([], 0)


def test_the_examples_are_the_spans_own_files(tmp_path: pathlib.Path) -> None:
    known = [judged(tmp_path / "data", number, "accepted") for number in (7, 12)]
    examples = standard_artifacts.Examples()
    examples.uri = str(tmp_path / "examples")
    left = tmp_path / "examples/Split-eval/span-0001-eval-00000-of-00001.tfrecord.gz"
    left.parent.mkdir(parents=True)
    left.write_text("of an attempt that was cut short")
    window.fill(examples, window.choose(known, 0))
    files = sorted(os.listdir(tmp_path / "examples/Split-eval"))
    assert files == [f"span-{number:04}-eval-00000-of-00001.tfrecord.gz" for number in (7, 12)]
    link = tmp_path / "examples/Split-train/span-0007-train-00000-of-00001.tfrecord.gz"
    assert link.samefile(tmp_path / "data/span-0007/train-00000-of-00001.tfrecord.gz")
    assert artifact_utils.decode_split_names(examples.split_names) == ["train", "eval"]
    assert examples.get_int_custom_property("span") == 12
    assert examples_utils.get_payload_format_string(examples) == "FORMAT_TF_EXAMPLE"
    assert examples_utils.get_file_format(examples) == "tfrecords_gzip"


def test_where_there_are_no_links_files_are_copied(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(source: str, target: str) -> None:
        raise OSError("other device")

    monkeypatch.setattr(os, "link", no_links)
    examples = standard_artifacts.Examples()
    examples.uri = str(tmp_path / "examples")
    window.fill(examples, window.choose([judged(tmp_path / "data", 1, "accepted")], 0))
    copy = tmp_path / "examples/Split-eval/span-0001-eval-00000-of-00001.tfrecord.gz"
    assert copy.read_text() == "eval 1"
