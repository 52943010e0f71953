"""All caption metrics of a corpus of plain strings in one call."""

import math
from collections.abc import Iterable, Sequence

from models.metrics.bleu import MAX_ORDER, corpus_bleu
from models.metrics.cider_d import cider_d
from models.metrics.rouge_l import rouge_l
from models.metrics.tokenizer import tokenize


def distinct_share(captions: Iterable[Sequence[str]]) -> float:
    """Returns distinct tokenised captions / captions, in (0, 1]; NaN without captions.

    A model that says the same of every picture is near 0.
    """
    all_captions = [tuple(words) for words in captions]
    return len(set(all_captions)) / len(all_captions) if all_captions else math.nan


def mean_length(captions: Iterable[Sequence[str]]) -> float:
    """Returns words a tokenised caption; NaN without captions."""
    lengths = [len(words) for words in captions]
    return sum(lengths) / len(lengths) if lengths else math.nan


def score_captions(captions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Scores one caption an image against the image's references.

    Args:
      captions: a caption for each image, as written; an empty one scores 0.
      references: for each image in the same order, the captions people wrote; at least one.

    Returns:
      `bleu_1` ... `bleu_4` and `rouge_l` in [0, 1], `cider_d` in [0, 10], `mean_caption_length` in words,
      `distinct_captions` as a share. All NaN for an empty corpus.

    Raises:
      ValueError: the two differ in number, or an image has no reference.
    """
    if len(captions) != len(references):
        raise ValueError(
            f"expected a list of references for each caption; got {len(captions)} captions and references "
            f"for {len(references)} images"
        )
    words = [tokenize(caption) for caption in captions]
    reference_words = [[tokenize(reference) for reference in of_image] for of_image in references]
    bleu = corpus_bleu(words, reference_words)
    return {
        **{f"bleu_{order}": bleu[order - 1] for order in range(1, MAX_ORDER + 1)},
        "rouge_l": rouge_l(words, reference_words),
        "cider_d": cider_d(words, reference_words),
        "mean_caption_length": mean_length(words),
        "distinct_captions": distinct_share(words),
    }
