"""From run to run: a span is judged once, and a run that was killed leaves nothing half."""

import gzip
import json
import pathlib

import pytest

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
