"""Which spans there are, and the name under which a run was planned with them."""

import json
import os
import pathlib

import pytest

from components.span_example_gen import records, spans


def make_span(
    data: pathlib.Path, number: int, train: str = "pictures", eval_: str = "others"
) -> pathlib.Path:
    folder = data / f"span-{number:04}"
    folder.mkdir(parents=True)
    for split, content in (("train", train), ("eval", eval_), ("test", "kept apart")):
        if content:
            (folder / f"{split}-00000-of-00001.tfrecord.gz").write_text(content)
    (folder / "manifest.json").write_text(json.dumps({"span": number, "train": train, "eval": eval_}))
    return folder


def test_spans_are_found_in_order_with_the_files_that_are_learned_from(tmp_path: pathlib.Path) -> None:
    for number in (10, 9):
        make_span(tmp_path, number)
    (tmp_path / ".importing-span-0011").mkdir()
    (tmp_path / "notes").mkdir()
    found = spans.find(str(tmp_path))
    assert [span.number for span in found] == [9, 10]
    assert found[0].paths("train") == [str(tmp_path / "span-0009/train-00000-of-00001.tfrecord.gz")]
    assert [name.partition("-")[0] for name, _ in found[0].shards] == ["train", "eval"]


def test_without_data_there_are_no_spans(tmp_path: pathlib.Path) -> None:
    assert spans.find(str(tmp_path / "missing")) == []
    assert spans.identify(str(tmp_path / "missing"), []) == "none"
    assert spans.resolve(str(tmp_path / "missing"), "none", []) == []


def test_the_name_changes_with_every_change_and_only_then(tmp_path: pathlib.Path) -> None:
    make_span(tmp_path, 1)
    names = [spans.identify(str(tmp_path), [])]
    assert spans.identify(str(tmp_path), []) == names[0]
    names.append(spans.identify(str(tmp_path), [1]))
    make_span(tmp_path, 2)
    names.append(spans.identify(str(tmp_path), []))
    (tmp_path / "span-0002/train-00000-of-00001.tfrecord.gz").write_text("longer pictures")
    names.append(spans.identify(str(tmp_path), []))
    (tmp_path / "span-0002/manifest.json").write_text("{}")
    names.append(spans.identify(str(tmp_path), []))
    assert len(set(names)) == 5


def test_without_a_manifest_a_change_shows_in_the_time_of_the_file(tmp_path: pathlib.Path) -> None:
    folder = make_span(tmp_path, 1)
    (folder / "manifest.json").unlink()
    before = spans.identify(str(tmp_path), [])
    os.utime(folder / "train-00000-of-00001.tfrecord.gz", (1, 1))
    assert spans.identify(str(tmp_path), []) != before


def test_a_span_that_came_in_since_the_plan_is_not_taken(tmp_path: pathlib.Path) -> None:
    make_span(tmp_path, 1)
    planned = spans.identify(str(tmp_path), [])
    make_span(tmp_path, 2)
    assert [span.number for span in spans.resolve(str(tmp_path), planned, [])] == [1]
    assert [span.number for span in spans.resolve(str(tmp_path), "newest", [])] == [1, 2]


def test_a_span_changed_since_the_plan_stops_the_run(tmp_path: pathlib.Path) -> None:
    make_span(tmp_path, 1)
    planned = spans.identify(str(tmp_path), [])
    (tmp_path / "span-0001/train-00000-of-00001.tfrecord.gz").write_text("longer pictures")
    with pytest.raises(FileNotFoundError, match="Run the pipeline again"):
        spans.resolve(str(tmp_path), planned, [])


def test_a_refused_span_changes_no_name_unless_it_was_in_it(tmp_path: pathlib.Path) -> None:
    make_span(tmp_path, 1)
    good = spans.identify(str(tmp_path), [])
    make_span(tmp_path, 2)
    assert spans.identify(str(tmp_path), [2]) == good
    assert [span.number for span in spans.resolve(str(tmp_path), good, [2])] == [1]
    make_span(tmp_path, 3)
    planned = spans.identify(str(tmp_path), [2])
    assert [span.number for span in spans.resolve(str(tmp_path), planned, [2])] == [1, 2, 3]


def test_where_all_are_refused_they_are_there_to_be_named(tmp_path: pathlib.Path) -> None:
    make_span(tmp_path, 1)
    assert spans.identify(str(tmp_path), [1]) == "none"
    make_span(tmp_path, 2)
    assert [span.number for span in spans.resolve(str(tmp_path), "none", [1])] == [1]


def test_a_name_that_is_none_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="'none', 'newest' or NEWEST-DIGEST; got '7'"):
        spans.resolve(str(tmp_path), "7", [])


class TestRecords:
    @pytest.fixture
    def span(self, tmp_path: pathlib.Path) -> spans.Span:
        make_span(tmp_path / "data", 3)
        return spans.find(str(tmp_path / "data"))[0]

    @pytest.fixture
    def kept(self, tmp_path: pathlib.Path) -> str:
        return str(tmp_path / "records")

    def _refused(self, span: spans.Span) -> records.Record:
        return records.Record(3, span.digest, records.REFUSED, ("It is torn.",), measured={"images": 2.0})

    def test_what_was_written_is_read(self, span: spans.Span, kept: str) -> None:
        assert records.read(kept, [span])[0].state == records.NEW
        records.write(kept, span, self._refused(span))
        (known,) = records.read(kept, [span])
        assert known.record == self._refused(span)
        assert (known.state, known.why) == ("refused", ("It is torn.",))
        assert records.refused(kept, [span]) == {3}

    def test_a_persons_word_goes_before_the_judgement(self, span: spans.Span, kept: str) -> None:
        records.write(kept, span, self._refused(span))
        records.write_word(kept, span, records.ACCEPTED, "I have looked at it")
        (known,) = records.read(kept, [span])
        assert (known.state, known.why) == ("accepted", ())
        assert known.to_dict()["word"]["reason"] == "I have looked at it"
        assert records.refused(kept, [span]) == set()

    def test_what_was_said_of_another_content_does_not_count(
        self, span: spans.Span, kept: str, tmp_path: pathlib.Path
    ) -> None:
        records.write(kept, span, self._refused(span))
        records.write_word(kept, span, records.REFUSED, "no")
        (tmp_path / "data/span-0003/manifest.json").write_text("{}")
        (again,) = records.read(kept, spans.find(str(tmp_path / "data")))
        assert again.state == records.NEW

    @pytest.mark.parametrize("content", ["", "{", "[]", "{}", "7"])
    def test_a_torn_record_is_no_record(self, span: spans.Span, kept: str, content: str) -> None:
        records.write(kept, span, self._refused(span))
        (pathlib.Path(kept) / "span-0003.json").write_text(content)
        assert records.read(kept, [span])[0].state == records.NEW
