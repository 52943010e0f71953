"""What is known of each span that was judged, kept between runs.

    RECORDS/span-0012.json              the judgement; written last, so that what it stands for is whole
    RECORDS/span-0012/word.json         a person's word, which goes before the judgement
    RECORDS/span-0012/                  beside it: what later spans are compared with (`findings`)

All of it is about one content: a span that was imported again under its number is a new one.
"""

import dataclasses
import json
import os
import time
from collections.abc import Iterable
from typing import Any, Final, TypeVar

from tfx.dsl.io import fileio

from components.span_example_gen.spans import Span

JUDGEMENTS: Final = "judgements.json"  # in the artifact of the SpanExampleGen
ACCEPTED: Final = "accepted"
REFUSED: Final = "refused"
NEW: Final = "new"  # not judged yet


@dataclasses.dataclass(frozen=True)
class Record:
    """A judgement.

    Attributes:
      span: number of the span.
      digest: of the content judged.
      state: `accepted` or `refused`.
      reasons: why it was refused, in sentences; none if it was accepted.
      warnings: what a person should know of it all the same.
      images, captions: how many it has to learn from and to judge by.
      checked_at: when it was judged, UTC.
      model: version in service that was asked; empty without one.
      encoder: fingerprint of that model's image encoder.
      vocabulary_digest: of the words that the model knows; empty without one, and in records of versions
        that did not note it.
      measured: figures behind the sentences, by name.
      drift: features compared with the window: `feature`, `distance`, `threshold`, `drifted`.
    """

    span: int
    digest: str
    state: str
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    images: int = 0
    captions: int = 0
    checked_at: str = ""
    model: str = ""
    encoder: str = ""
    vocabulary_digest: str = ""
    measured: dict[str, float] = dataclasses.field(default_factory=dict)
    drift: tuple[dict[str, Any], ...] = ()


@dataclasses.dataclass(frozen=True)
class Word:
    """A person's word on a span.

    Attributes:
      digest: of the content that was meant.
      state: `accepted` or `refused`.
      reason: the person's.
      at: when, UTC.
    """

    digest: str
    state: str
    reason: str
    at: str


@dataclasses.dataclass(frozen=True)
class Judgement:
    """All that is known of whether a span is used.

    Attributes:
      span: the span.
      record: of its judgement; None if it was not judged yet.
      word: a person's; None if nobody said anything.
    """

    span: Span
    record: Record | None
    word: Word | None

    @property
    def state(self) -> str:
        """`accepted`, `refused` or `new`; a person's word goes before the judgement."""
        if self.word is not None:
            return self.word.state
        return NEW if self.record is None else self.record.state

    @property
    def why(self) -> tuple[str, ...]:
        """Why it is refused, in sentences; nothing if it is not."""
        if self.state != REFUSED:
            return ()
        if self.word is not None:
            return (f"a person refused it: {self.word.reason}",)
        return self.record.reasons if self.record else ()

    def to_dict(self) -> dict[str, Any]:
        """As plain values: what the record has, with the state that holds and the person's word."""
        known = dataclasses.asdict(self.record or Record(self.span.number, self.span.digest, NEW))
        return known | {"state": self.state, "word": dataclasses.asdict(self.word) if self.word else None}


def now() -> str:
    """The time, UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def folder(records_dir: str, span: Span) -> str:
    """Where lies what later spans are compared with."""
    return os.path.join(records_dir, span.name)


def read(records_dir: str, spans: Iterable[Span]) -> list[Judgement]:
    """Returns what is known of each of `spans`, in their order."""
    return [
        Judgement(
            span,
            _of(span, _read(_record_file(records_dir, span), Record)),
            _of(span, _read(_word_file(records_dir, span), Word)),
        )
        for span in spans
    ]


def refused(records_dir: str, spans: Iterable[Span]) -> set[int]:
    """Returns the numbers of those that are refused."""
    return {each.span.number for each in read(records_dir, spans) if each.state == REFUSED}


def write(records_dir: str, span: Span, record: Record) -> None:
    """Keeps a judgement."""
    _write(_record_file(records_dir, span), dataclasses.asdict(record))


def write_word(records_dir: str, span: Span, state: str, reason: str) -> Word:
    """Keeps a person's word on the span as it is now."""
    word = Word(span.digest, state, reason, now())
    _write(_word_file(records_dir, span), dataclasses.asdict(word))
    return word


def _record_file(records_dir: str, span: Span) -> str:
    return os.path.join(records_dir, f"{span.name}.json")


def _word_file(records_dir: str, span: Span) -> str:
    return os.path.join(folder(records_dir, span), "word.json")


_Kind = TypeVar("_Kind", Record, Word)


def _of(span: Span, kept: _Kind | None) -> _Kind | None:
    return kept if kept is not None and kept.digest == span.digest else None


def _read(path: str, kind: type[_Kind]) -> _Kind | None:
    """None also for what is no such file: a span is then judged, or a person asked, once more."""
    if not fileio.exists(path):
        return None
    try:
        with fileio.open(path) as file:
            content = json.loads(file.read())
        fields = {field.name for field in dataclasses.fields(kind)}
        values: dict[str, Any] = {
            key: tuple(v) if isinstance(v, list) else v for key, v in content.items() if key in fields
        }
        return kind(**values)
    except (ValueError, TypeError, AttributeError):
        return None


def _write(path: str, content: dict[str, Any]) -> None:
    fileio.makedirs(os.path.dirname(path))
    aside = f"{path}.writing"
    with fileio.open(aside, "w") as file:
        file.write(json.dumps(content, indent=2, sort_keys=True) + "\n")
    fileio.rename(aside, path, overwrite=True)
