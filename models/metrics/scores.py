"""All caption metrics of a corpus of plain strings in one call."""

from collections.abc import Iterable, Sequence

from models.metrics import diversity
from models.metrics.bleu import MAX_ORDER, corpus_bleu
from models.metrics.cider_d import cider_d
from models.metrics.rouge_l import rouge_l
from models.metrics.tokenizer import tokenize


def score_captions(
    captions: Sequence[str], references: Sequence[Sequence[str]], training: Iterable[str] | None = None
) -> dict[str, float]:
    """Scores one caption an image against the image's references.

    Args:
      captions: a caption for each image, as written; an empty one scores 0.
      references: for each image in the same order, the captions people wrote; at least one.
      training: captions that the model has learned from; None: not known.

    Returns:
      `bleu_1` ... `bleu_4` and `rouge_l` in [0, 1], `cider_d` in [0, 10], `mean_caption_length` in words;
      `distinct_1`, `distinct_2`, `distinct_captions` as shares, `vocabulary_used` in words; with `training`,
      `novel_captions` as a share. NaN for an empty corpus (`vocabulary_used`: 0).

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
    scores = {
        **{f"bleu_{order}": bleu[order - 1] for order in range(1, MAX_ORDER + 1)},
        "rouge_l": rouge_l(words, reference_words),
        "cider_d": cider_d(words, reference_words),
        "mean_caption_length": diversity.mean_length(words),
        "distinct_1": diversity.distinct_ngrams(words, 1),
        "distinct_2": diversity.distinct_ngrams(words, 2),
        "distinct_captions": diversity.distinct_captions(words),
        "vocabulary_used": float(diversity.vocabulary_used(words)),
    }
    if training is not None:
        scores["novel_captions"] = diversity.novel_captions(words, {tokenize(text) for text in training})
    return scores
