"""The metrics by key: their names, which way is better, how they are written and what they are."""

import dataclasses
import math
from typing import Final


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric as people read it.

    Attributes:
      name: in a sentence or a table.
      form: format specification of a value.
      note: what it is, in a few words.
      higher_is_better: None where neither is.
      resampled: whether two models can be compared on resampled images; see `models.metrics.bootstrap`.
    """

    name: str
    form: str
    note: str
    higher_is_better: bool | None = None
    resampled: bool = False

    def show(self, value: float | None) -> str:
        """Returns a value as text, e.g. `0.232`."""
        if value is None:
            return "missing"
        return "not a number" if math.isnan(value) else format(value, self.form)


def _score(name: str, note: str) -> Metric:
    return Metric(name, ".4f", note, higher_is_better=True, resampled=True)


METRICS: Final = {
    "images": Metric("Number of images", ",.0f", "scored"),
    **{
        f"bleu_{n}": _score(f"BLEU-{n}", f"overlap of up to {n} words in a row, from 0 to 1")
        for n in (1, 2, 3, 4)
    },
    "rouge_l": _score("ROUGE-L", "longest common subsequence, from 0 to 1"),
    "cider_d": _score("CIDEr-D", "overlap weighted by rarity, from 0 to 10"),
    "meteor": Metric(
        "METEOR", ".4f", "overlap with synonyms and stems, from 0 to 1; reported, never gating", True
    ),
    "token_cross_entropy": Metric(
        "Token cross-entropy",
        ".4f",
        "nats a token of people's captions",
        higher_is_better=False,
        resampled=True,
    ),
    "perplexity": Metric("Perplexity", ".2f", "exp of the cross-entropy", higher_is_better=False),
    "token_accuracy": Metric(
        "Token accuracy",
        ".4f",
        "share of tokens that were the first choice",
        higher_is_better=True,
        resampled=True,
    ),
    "mean_caption_length": Metric("Words a caption", ".2f", "mean"),
    "distinct_1": Metric("Distinct-1", ".4f", "different words / words"),
    "distinct_2": Metric("Distinct-2", ".4f", "different pairs of words / pairs"),
    "distinct_captions": Metric("Share of distinct captions", ".4f", "different captions / captions"),
    "vocabulary_used": Metric("Vocabulary used", ",.0f", "different words in all captions"),
    "novel_captions": Metric("Share of novel captions", ".4f", "captions that are no training caption"),
}
