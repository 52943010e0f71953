"""What a scheduler sees in the data folder."""

import json
import pathlib

from components.span_example_gen import records
from components.span_example_gen import spans as component
from pipeline.continuous import spans
from tests.pipeline.continuous.conftest import write_record, write_span


def test_spans_are_the_same_to_the_scheduler_and_to_the_component(tmp_path: pathlib.Path):
    """The digest, and what is known of a span, decide when a run is due and what it does."""
    data, root = tmp_path / "data", tmp_path / "root"
    for number in (2, 1, 12, 3, 4, 5):
        write_span(data, number)
    (data / "span-0003" / "manifest.json").unlink()
    (data / "span-0012" / "eval-00000-of-00001.tfrecord.gz").unlink()
    (data / ".importing-span-0013").mkdir()
    found = component.find(str(data))
    drift = ({"feature": "caption_words", "distance": 0.4, "threshold": 0.1, "drifted": True},)
    known = {1: records.ACCEPTED, 2: records.REFUSED, 4: records.REFUSED, 5: records.ACCEPTED}
    for span in found:
        if span.number in known:
            record = records.Record(
                span.number, span.digest, known[span.number], ("too many",), ("longer captions",), drift=drift
            )
            records.write(str(root / "spans"), span, record)
    records.write_word(str(root / "spans"), found[1], records.ACCEPTED, "I looked")
    records.write_word(str(root / "spans"), found[2], records.REFUSED, "wrong photos")
    records.write_word(str(root / "spans"), found[4], records.ACCEPTED, "these too")

    seen = spans.look(str(data), str(root / "spans"))

    judged = records.read(str(root / "spans"), found)
    assert [span.number for span in seen] == [1, 2, 3, 4, 5, 12]
    assert [span.digest for span in seen] == [span.digest for span in found]
    assert [span.state for span in seen] == [each.state for each in judged]
    assert [span.reasons for span in seen] == [each.why for each in judged]
    assert seen[2].reasons == ("a person refused it: wrong photos",)
    alone = [each.record.state if each.record else records.NEW for each in judged]
    assert [span.judged for span in seen] == alone
    assert [span.drifted for span in seen] == [True, True, False, True, True, False]
    assert seen[0].warnings == ("longer captions",)
    assert [span.images for span in seen] == [10, 10, None, 10, 10, 10]
    assert [span.missing for span in seen] == [0, 0, 0, 0, 0, 1]


def test_the_judgement_of_other_content_is_not_that_of_a_span(tmp_path: pathlib.Path):
    write_span(tmp_path / "data", 1)
    write_record(tmp_path / "root", 1, "another digest", spans.REFUSED)
    (span,) = spans.look(str(tmp_path / "data"), str(tmp_path / "root" / "spans"))
    assert span.state == spans.NEW


def test_a_span_that_is_still_being_copied_is_not_whole(tmp_path: pathlib.Path):
    shard = write_span(tmp_path, 1) / "train-00000-of-00001.tfrecord.gz"
    text = shard.read_text()
    shard.write_text(text[:-1])
    assert spans.look(str(tmp_path), "none")[0].missing == 1
    shard.write_text(text)
    assert spans.look(str(tmp_path), "none")[0].missing == 0


def test_broken_files_are_those_of_a_span_that_nobody_knows(tmp_path: pathlib.Path):
    manifest = write_span(tmp_path, 1) / "manifest.json"
    manifest.write_text("{")
    record = tmp_path / "records" / "span-0001.json"
    record.parent.mkdir()
    for content in ("{", "[]", json.dumps({"state": "refused"})):
        record.write_text(content)
        (span,) = spans.look(str(tmp_path), str(record.parent))
        assert (span.state, span.images) == (spans.NEW, None)
