"""Records of evaluated images on disk."""

import gzip
import math
import pathlib

from components.evaluator import records
from components.evaluator.records import ImageRecord, Record


def test_records_are_read_back_whatever_their_text(tmp_path: pathlib.Path) -> None:
    odd = 'a\u2028dog\u0085\u2029 "runs"\n\ud83d\ude00'.encode("utf-16", "surrogatepass").decode("utf-16")
    written = [
        ImageRecord(name, "hash", (odd, "b"), {"span": "1"}, {"candidate": Record(odd, math.inf, 1.0, 2.0)})
        for name in ("b", "a")
    ]
    for number, record in enumerate(written):
        path = tmp_path / f"records-0000{number}-of-00002.jsonl.gz"
        path.write_bytes(gzip.compress((record.to_json() + "\n").encode()))
    found = records.read(str(tmp_path))
    assert [record.image_id for record in found] == ["a", "b"]
    assert found[0].references == (odd, "b")
    assert found[0].models["candidate"].token_nll == math.inf
