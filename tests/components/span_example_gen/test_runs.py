"""From run to run: a span is judged once, and a run that was killed leaves nothing half."""

import collections
import gzip
import json
import pathlib
from collections.abc import Sequence

import pytest
from tfx.dsl.io import fileio

from components.span_example_gen import executor, judge, records, spans
from tests.components.span_example_gen.conftest import Place, pictures, write_span


def states(judgements: list[dict]) -> list[str]:
    return [each["state"] for each in judgements]


def test_a_span_is_judged_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.good_span(1)
    planned = executor.identify(str(place.data), str(place.records))
    once = place.run(planned)
    assert executor.identify(str(place.data), str(place.records)) == planned, "judging is no new data"

    def judged_again(self, span, accepted):
        raise AssertionError(f"{span.name} is judged again")

    monkeypatch.setattr(judge.Judge, "judge", judged_again)
    assert place.run(planned) == once


class StubJudge:
    """Refuses the spans named, accepts all others, and notes what each was compared with."""

    def __init__(self, records_dir: pathlib.Path, refused: Sequence[int] = ()):
        self.records_dir = str(records_dir)
        self.compared: dict[int, list[int]] = {}
        self._refused = refused

    def judge(self, span: spans.Span, accepted: Sequence[records.Judgement]) -> records.Record:
        assert all(each.record is not None for each in accepted)
        self.compared[span.number] = [each.span.number for each in accepted]
        state = records.REFUSED if span.number in self._refused else records.ACCEPTED
        record = records.Record(span.number, span.digest, state)
        records.write(self.records_dir, span, record)
        return record


def empty_spans(place: Place, numbers: Sequence[int]) -> list[spans.Span]:
    for number in numbers:
        (place.data / f"span-{number:04}").mkdir(parents=True)
    return spans.find(str(place.data))


def test_what_is_known_of_a_span_is_read_once_however_many_are_new(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = empty_spans(place, range(1, 31))
    executor.judge_new(StubJudge(place.records), known)
    for span in known:
        records.write_word(str(place.records), span, records.ACCEPTED, "I have looked at it")
    found = empty_spans(place, [31, 32])
    opened: collections.Counter[str] = collections.Counter()
    open_file = fileio.open

    def count(path: str, mode: str = "r"):
        if mode == "r":
            opened[path.removeprefix(f"{place.records}/")] += 1
        return open_file(path, mode)

    monkeypatch.setattr(fileio, "open", count)
    executor.judge_new(StubJudge(place.records), found)
    assert set(opened.values()) == {1}
    assert opened.keys() == {f"{each.name}{file}" for each in known for file in (".json", "/word.json")}


def test_a_span_is_compared_with_the_accepted_ones_before_it_new_or_known(place: Place) -> None:
    known = empty_spans(place, [1, 2, 3])
    executor.judge_new(StubJudge(place.records, refused=[2, 3]), known)
    records.write_word(str(place.records), known[2], records.ACCEPTED, "it is good all the same")
    judge_ = StubJudge(place.records, refused=[5])
    found = empty_spans(place, [4, 5, 6, 7])
    records.write_word(str(place.records), found[5], records.REFUSED, "the licence has run out")
    made = executor.judge_new(judge_, found)
    assert [each.span for each in made] == [4, 5, 6, 7]
    assert judge_.compared == {4: [1, 3], 5: [1, 3, 4], 6: [1, 3, 4], 7: [1, 3, 4]}


def test_only_the_spans_of_the_plan_are_looked_at(place: Place) -> None:
    place.good_span(1)
    planned = executor.identify(str(place.data), str(place.records))
    place.good_span(2)
    assert [each["span"] for each in place.run(planned)] == [1]
    assert not (place.records / "span-0002.json").exists()


def test_a_kill_while_a_span_is_judged_costs_only_that_span(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        place.good_span(number)
    keep = records.write

    def killed(records_dir: str, span, record) -> None:
        if span.number == 2:
            (pathlib.Path(records_dir) / "span-0002.json.writing").write_text('{"span": 2, "state": "acc')
            raise KeyboardInterrupt
        keep(records_dir, span, record)

    with monkeypatch.context() as patch:
        patch.setattr(records, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            place.run()
    first = (place.records / "span-0001.json").read_bytes()
    assert not (place.records / "span-0002.json").exists()
    # What the attempt left, and what another number of workers would have.
    leftover = place.records / "span-0002/findings/pictures-00001-of-00002.txt.gz"
    leftover.write_bytes(gzip.compress(b"no such picture"))
    assert states(place.run()) == ["accepted", "accepted"]
    assert (place.records / "span-0001.json").read_bytes() == first, "it was whole, and is not judged again"
    assert not leftover.exists()


def test_equal_data_are_judged_equally(tmp_path: pathlib.Path, grey_model: pathlib.Path) -> None:
    places = [Place(tmp_path / name, grey_model) for name in "ab"]
    for place in places:
        place.root.mkdir()
        for number in (1, 2):
            place.good_span(number)
    ours, theirs = ([{**each, "checked_at": ""} for each in place.run()] for place in places)
    assert ours == theirs
    for name in ("statistics.pb", "scores.json", "tally.json"):
        contents = {(place.records / "span-0002/findings" / name).read_bytes() for place in places}
        assert len(contents) == 1, name


def test_a_persons_word_decides_and_what_was_found_stays(place: Place) -> None:
    for number in (1, 2):
        place.good_span(number)
    place.run()
    span = records.read(str(place.records), spans.find(str(place.data)))[0].span
    records.write_word(str(place.records), span, records.REFUSED, "the licence has run out")
    first, second = place.run()
    assert (first["state"], first["used"], first["reasons"]) == ("refused", False, [])
    assert second["used"]
    assert sorted(path.name for path in (place.root / "examples/Split-train").iterdir()) == [
        "span-0002-train-00000-of-00001.tfrecord.gz"
    ]


def test_a_span_imported_again_under_its_number_is_a_new_one(place: Place) -> None:
    place.good_span(1)
    folder = place.good_span(2)
    (folder / "train-00000-of-00001.tfrecord.gz").write_bytes(b"")
    assert states(place.run()) == ["accepted", "refused"]
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    made = pictures(7000, 20)
    write_span(place.data, 2, made[5:], made[:5])
    assert states(place.run()) == ["accepted", "accepted"]


def test_where_all_are_refused_the_run_stops_and_names_them(place: Place) -> None:
    folder = place.good_span(1)
    (folder / "train-00000-of-00001.tfrecord.gz").unlink()
    with pytest.raises(ValueError, match=r"span-0001: train-00000-of-00001\.tfrecord\.gz is missing"):
        place.run()
    assert json.loads((place.records / "span-0001.json").read_text())["state"] == "refused"
