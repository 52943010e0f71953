"""The TFMA metrics equal the plain ones, however Beam cuts the images into bundles."""

import math
import pathlib
import pickle
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow_model_analysis as tfma

from components.evaluator.extraction import DocumentFrequencies, ScoreCaptions, read_extracts
from components.metrics import captions, overlap, tokens
from components.metrics.base import CaptionMetric
from models.metrics.scores import score_captions
from models.seen_captions import SeenCaptions

METRICS = (
    captions.Images,
    captions.MeanCaptionLength,
    captions.NovelCaptions,
    captions.Distinct1,
    captions.Distinct2,
    captions.DistinctCaptions,
    captions.VocabularyUsed,
    overlap.Bleu1,
    overlap.Bleu2,
    overlap.Bleu3,
    overlap.Bleu4,
    overlap.RougeL,
    overlap.CiderD,
    tokens.TokenCrossEntropy,
    tokens.TokenAccuracy,
)

ALONE = {"candidate": ""}  # a model, and where the captions lie that it has learned from: nowhere
WORDS = ("a", "dog", "the", "man", "runs", "on", "red", "grass", "with", "two's", ",", ".")


def _sentence(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(4, 12)))


@pytest.fixture(scope="module")
def images() -> list[dict[str, Any]]:
    """200 images as TFMA hands them to a metric, with one to five references each."""
    rng = random.Random(1)
    return [
        {
            tfma.FEATURES_KEY: {"image_id": np.array([f"image-{i}".encode()])},
            tfma.LABELS_KEY: np.array([_sentence(rng).encode() for _ in range(1 + i % 5)]),
            tfma.PREDICTIONS_KEY: {
                "caption": np.array([_sentence(rng).encode()]),
                "token_nll": np.array([rng.uniform(5, 50)], np.float32),
                "token_correct": np.array([rng.randint(0, 9)], np.float32),
                "token_count": np.array([rng.randint(10, 20)], np.float32),
            },
        }
        for i in range(200)
    ]


def in_bundles(combiner: Any, inputs: Sequence[Any], bundles: int) -> Any:
    """Combines as Beam does: bundles apart, accumulators sent over and merged."""
    accumulators = []
    for start in range(bundles):
        accumulator = combiner.create_accumulator()
        for one in inputs[start::bundles]:
            accumulator = combiner.add_input(accumulator, one)
        accumulators.append(pickle.loads(pickle.dumps(accumulator)))
    middle = len(accumulators) // 2
    halves = [combiner.merge_accumulators(half) for half in (accumulators[middle:], accumulators[:middle])]
    return combiner.extract_output(combiner.merge_accumulators(halves))


def extracted(images: list[dict[str, Any]], bundles: int, models: Mapping[str, str]) -> list[dict[str, Any]]:
    """The extracts that the metrics read: records with CIDEr-D's frequencies of all bundles."""
    records = [read_extracts(image, models) for image in images]
    idf = in_bundles(DocumentFrequencies(), records, bundles)
    scoring = ScoreCaptions(models)
    scoring.setup()
    return [extract for record in records for extract in scoring.process(record, idf)]


def evaluate(
    metric: type[CaptionMetric],
    images: list[dict[str, Any]],
    bundles: int = 1,
    model_name: str = "",
    models: Mapping[str, str] = ALONE,
) -> float:
    """Runs a metric's computations over bundles."""
    computation, derived = metric().computations(model_names=[model_name])
    (preprocessor,) = computation.preprocessors
    measured = [
        one for extract in extracted(images, bundles, models) for one in preprocessor.process(extract)
    ]
    results = in_bundles(computation.combiner, measured, bundles)
    ((key, value),) = derived.result(results).items()
    assert key == tfma.metrics.MetricKey(metric.key, model_name=model_name, example_weighted=False)
    return value


@pytest.mark.parametrize("bundles", [1, 7, 64])
def test_the_numbers_are_the_plain_ones_for_any_number_of_bundles(
    images: list[dict[str, Any]], bundles: int, tmp_path: pathlib.Path
) -> None:
    training = [image[tfma.PREDICTIONS_KEY]["caption"][0].decode() for image in images[::3]]
    SeenCaptions.of(training).write(str(tmp_path))
    outputs = [image[tfma.PREDICTIONS_KEY] for image in images]
    tokens_in_all = sum(o["token_count"].item() for o in outputs)
    expected = score_captions(
        [o["caption"][0].decode() for o in outputs],
        [[caption.decode() for caption in image[tfma.LABELS_KEY]] for image in images],
        training,
    ) | {
        "images": 200,
        "token_cross_entropy": sum(o["token_nll"].item() for o in outputs) / tokens_in_all,
        "token_accuracy": sum(o["token_correct"].item() for o in outputs) / tokens_in_all,
    }
    models = {"candidate": str(tmp_path)}
    found = {m.key: evaluate(m, images, bundles, models=models) for m in METRICS}
    assert found == pytest.approx(expected, abs=1e-12)


def test_every_class_has_one_key_of_its_own() -> None:
    assert len({metric.key for metric in METRICS}) == len(METRICS)


def test_metrics_of_a_family_share_one_computation() -> None:
    computations = [metric().computations()[0] for metric in (overlap.Bleu1, overlap.Bleu2, overlap.Bleu4)]
    assert len(set(computations)) == 1


def test_each_of_two_models_is_scored_on_its_own_captions(images: list[dict[str, Any]]) -> None:
    both = [
        {
            **image,
            tfma.LABELS_KEY: {name: image[tfma.LABELS_KEY] for name in ("candidate", "baseline")},
            tfma.PREDICTIONS_KEY: {
                "candidate": image[tfma.PREDICTIONS_KEY],
                "baseline": image[tfma.PREDICTIONS_KEY] | {"caption": np.array([b"a cat"])},
            },
        }
        for image in images
    ]
    models = {"candidate": "", "baseline": ""}
    of_candidate = evaluate(overlap.CiderD, both, model_name="candidate", models=models)
    assert of_candidate == evaluate(overlap.CiderD, images)
    assert evaluate(captions.DistinctCaptions, both, model_name="baseline", models=models) == 1 / 200
    assert evaluate(captions.MeanCaptionLength, both, model_name="baseline", models=models) == 2


def test_padding_of_the_references_is_no_reference(images: list[dict[str, Any]]) -> None:
    padded = [
        image | {tfma.LABELS_KEY: np.concatenate([image[tfma.LABELS_KEY], [b"", b""]]).astype(object)}
        for image in images
    ]
    for metric in METRICS:
        assert evaluate(metric, padded) == pytest.approx(evaluate(metric, images), nan_ok=True)


def test_what_a_model_has_learned_from_need_not_be_known(images: list[dict[str, Any]]) -> None:
    assert math.isnan(evaluate(captions.NovelCaptions, images))


def test_a_loss_that_is_no_number_stays_none(images: list[dict[str, Any]]) -> None:
    broken = images[0] | {
        tfma.PREDICTIONS_KEY: images[0][tfma.PREDICTIONS_KEY] | {"token_nll": np.array([np.nan])}
    }
    assert math.isnan(evaluate(tokens.TokenCrossEntropy, [broken, *images[1:]], bundles=7))


def test_no_token_is_no_cross_entropy(images: list[dict[str, Any]]) -> None:
    empty = images[0] | {
        tfma.PREDICTIONS_KEY: images[0][tfma.PREDICTIONS_KEY]
        | {name: np.zeros(1) for name in ("token_nll", "token_correct", "token_count")}
    }
    assert math.isnan(evaluate(tokens.TokenCrossEntropy, [empty]))


def test_an_image_without_captions_is_named(images: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match=r"image image-0 has no 'captions'"):
        evaluate(overlap.Bleu4, [images[0] | {tfma.LABELS_KEY: np.array([b""])}])


def test_a_model_with_another_signature_is_named(images: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match=r"must return caption, token_nll, .*; got caption"):
        evaluate(overlap.Bleu4, [images[0] | {tfma.PREDICTIONS_KEY: {"caption": np.array([b"a dog"])}}])
