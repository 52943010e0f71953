"""A folder of images beside a table of captions: how anyone can bring pictures of their own."""

import csv
import io
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Final

from pipeline.errors import UserError
from pipeline.importers.reading import (
    CaptionCollector,
    list_files,
    printable,
    read_text,
    require_folder,
)
from pipeline.importers.records import SPLITS, Reason, Source, split_by_hash

_TABLE_SUFFIXES: Final = (".csv", ".jsonl")
_SPLIT_NAMES: Final = {split: split for split in SPLITS} | {
    "val": "eval",
    "dev": "eval",
    "validation": "eval",
}
Row = dict[str, object]


def read_folder(
    source: pathlib.Path, table: pathlib.Path | None = None, shares: tuple[int, int, int] = (8, 1, 1)
) -> Source:
    """Reads images and a CSV (with a header) or JSONL of `file`, `caption` and, if wanted, `split`.

    Several rows of one file are several captions. `file` is a path inside the folder and becomes the
    image id. `split` is `train`, `eval` (also `val`, `dev`) or `test`, the same in all rows of a file.

    Args:
      source: the folder.
      table: the captions; by default the only .csv or .jsonl directly in the folder.
      shares: sizes of train, eval and test for images whose rows name no split.

    Raises:
      UserError: the folder, the table or its columns are not as expected.
    """
    require_folder(source, "a folder with images and a .csv or .jsonl of file,caption")
    table = table or _find_table(source)
    rows = _read_jsonl(read_text(table)) if table.suffix.lower() == ".jsonl" else _read_csv(table)
    collector = CaptionCollector()
    splits: dict[str, str] = {}
    outside: set[str] = set()
    for number, row in rows:
        where = f"{table.name}:{number}"
        if isinstance(row, str):
            collector.add_bad_row(where, row)
            continue
        file, caption, split = row.get("file"), row.get("caption"), row.get("split") or None
        if not isinstance(file, str) or not file.strip() or not isinstance(caption, str):
            collector.add_bad_row(where, "expected a text for both 'file' and 'caption'")
            continue
        if split is not None and (not isinstance(split, str) or split not in _SPLIT_NAMES):
            collector.add_bad_row(where, f"split must be one of {', '.join(_SPLIT_NAMES)}; got {split!r}")
            continue
        image_id = pathlib.PurePath(os.path.normpath(file.strip())).as_posix()
        if image_id.startswith("../") or os.path.isabs(image_id):
            if image_id not in outside:
                outside.add(image_id)
                collector.reject(where, image_id, Reason.OUTSIDE_FOLDER, f"it is not inside {source}")
            continue
        if isinstance(split, str):
            known = splits.setdefault(image_id, _SPLIT_NAMES[split])
            if known != _SPLIT_NAMES[split]:
                collector.add_bad_row(where, f"{image_id} was in split {known!r} before; got {split!r}")
                continue
        collector.add(image_id, caption, where)
    return collector.finish(
        "folder", list_files(source), lambda image_id: splits.get(image_id) or split_by_hash(image_id, shares)
    )


def _find_table(source: pathlib.Path) -> pathlib.Path:
    tables = sorted(
        path
        for path in source.iterdir()
        if path.suffix.lower() in _TABLE_SUFFIXES and not path.name.startswith(".")
    )
    if len(tables) != 1:
        found = ", ".join(path.name for path in tables) or "none"
        raise UserError(
            f"{source} must hold one .csv or .jsonl of file,caption; found {found}. "
            f"Name the file with --captions FILE."
        )
    return tables[0]


def _read_csv(table: pathlib.Path) -> Iterator[tuple[int, Row | str]]:
    """Yields `(line, row)`, or a sentence in place of a row that cannot be read."""
    reader = csv.DictReader(io.StringIO(read_text(table), newline=""))
    fields = [field.strip().lower() for field in reader.fieldnames or []]
    if not {"file", "caption"} <= set(fields):
        raise UserError(
            f"{table} must start with a header that names the columns 'file' and 'caption'; "
            f"it starts with: {', '.join(map(printable, fields)) or 'nothing'}."
        )
    reader.fieldnames = fields
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, f"not CSV ({error})"
            continue
        if None in row:
            yield reader.line_num, "more cells than the header has; captions with commas need quotes"
            continue
        yield reader.line_num, dict(row)


def _read_jsonl(text: str) -> Iterator[tuple[int, Row | str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            yield number, f"not JSON ({error})"
            continue
        yield number, row if isinstance(row, dict) else "expected a JSON object"
