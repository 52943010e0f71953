"""What is known of an evaluated image, plain: references, slices, and what each model made of it."""

import dataclasses
import gzip
import json
import math
import os
from collections.abc import Iterable, Mapping
from typing import Final, Self

from models.metrics.bootstrap import Outcome
from models.metrics.tokenizer import tokenize

# TFMA's names of the two models.
CANDIDATE: Final = "candidate"
BASELINE: Final = "baseline"
# Beside the evaluation: an ImageRecord a line, gzipped.
FILE_PREFIX: Final = "records"


@dataclasses.dataclass(frozen=True)
class Record:
    """An image as one model sees it.

    Attributes:
      caption: the model's best caption.
      token_nll: sum of -log p, in nats, over the tokens of all references that the model was asked for.
      token_correct: of these tokens, how many were the model's first choice.
      token_count: how many tokens these are; 0 where every reference was left out by the corpus rules.
      cider_d: of the caption, with document frequencies of all evaluated images; NaN before they are known.
      novel: whether no training caption reads like it; None where these are not known.
    """

    caption: str
    token_nll: float
    token_correct: float
    token_count: float
    cider_d: float = math.nan
    novel: bool | None = None


@dataclasses.dataclass(frozen=True)
class ImageRecord:
    """An evaluated image.

    Attributes:
      image_id: as imported.
      content_hash: of its file; empty where the Example lacks it.
      references: the captions people wrote; at least one.
      slices: value by the name of the slice; see `components.evaluator.slices`.
      models: what each model made of it, by TFMA's name of the model.
    """

    image_id: str
    content_hash: str
    references: tuple[str, ...]
    slices: Mapping[str, str]
    models: Mapping[str, Record]

    def to_json(self) -> str:
        """Returns one line of JSON; a number that is not finite is written as JavaScript would."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Inverse of `to_json`."""
        fields = json.loads(line)
        fields["references"] = tuple(fields["references"])
        fields["models"] = {name: Record(**record) for name, record in fields["models"].items()}
        return cls(**fields)


def read(evaluation_uri: str) -> list[ImageRecord]:
    """Returns the records of an evaluation, ordered by image id; none where nothing was evaluated."""
    from tfx.dsl.io import fileio

    records = []
    for path in fileio.glob(os.path.join(evaluation_uri, f"{FILE_PREFIX}-*")):
        with fileio.open(path, "rb") as file:
            lines = gzip.decompress(file.read()).decode("utf-8").split("\n")
        records += [ImageRecord.from_json(line) for line in lines if line]
    return sorted(records, key=lambda record: (record.image_id, record.content_hash))


def outcome(records: Iterable[ImageRecord], model: str, with_cider_d: bool = False) -> Outcome:
    """Returns what `models.metrics.bootstrap` takes of a model; see there."""
    mine = [record.models[model] for record in records]
    return Outcome(
        [tokenize(record.caption) for record in mine],
        [record.token_nll for record in mine],
        [record.token_correct for record in mine],
        [record.token_count for record in mine],
        [record.cider_d for record in mine] if with_cider_d else None,
    )
