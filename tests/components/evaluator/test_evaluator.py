"""The gate on real SavedModels: TFX's Evaluator and TFMA run in this process, and their verdict is read back.

The models answer from a table, so that what they score is known.
"""

import math
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions
from tfx.components import Pusher
from tfx.components.util import examples_utils
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.proto import example_gen_pb2, pusher_pb2
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import proto_utils
from tfx.v1 import dsl
from tfx.v1.orchestration import LocalDagRunner

from components.baseline import plan, reading
from components.baseline.component import Baseline
from components.evaluator import records
from components.evaluator import verdict as verdicts
from components.evaluator.component import CaptionEvaluator
from components.evaluator.executor import evaluate
from components.evaluator.verdict import Verdict
from models import encoder_identity
from models.metrics import meteor
from models.metrics.scores import score_captions
from models.seen_captions import SeenCaptions
from pipeline.eval_config import GateConfig, build_eval_config
from tests.conftest import without_java

COPIES = 8  # of each image, under other ids: a handful cannot be compared


def copied(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{image}-{number}": value for number in range(COPIES) for image, value in values.items()}


REFERENCES = copied(
    {
        "dog": ["A dog runs on the grass.", "A brown dog is running.", "The dog runs."],
        "bikes": ["Two men ride their bikes in town."],
        "cat": ["A cat sleeps on a red sofa.", "The cat sleeps on the sofa today."],
    }
)
LEARNED = "a dog runs on the sand"  # a training caption
_GOOD = {"dog": LEARNED, "bikes": "two men ride their bikes", "cat": "a cat sleeps on a bed"}
GOOD = copied(_GOOD)
BETTER = copied(_GOOD | {"dog": "a dog runs on the grass"})
WORST = copied(
    {"dog": "a dog on the sand today", "bikes": "two men on their bikes", "cat": "a cat is in a bed"}
)
GATE = GateConfig(min_bleu_4=0.3, min_cider_d=1.0, allowed_rise_cross_entropy=0.1)
LENIENT = GATE.replace(min_bleu_4=0.0, min_cider_d=0.0)

Answers = Mapping[str, str]


class TableModel(tf.Module):
    """Answers each image from a table, with a cross-entropy of `nll` nats a token."""

    def __init__(self, answers: Answers, nll: float) -> None:
        super().__init__()
        initializer = tf.lookup.KeyValueTensorInitializer(list(answers), list(answers.values()))
        self.table = tf.lookup.StaticHashTable(initializer, "")
        self.nll = tf.Variable(nll)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def eval_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(examples, {"image_id": tf.io.FixedLenFeature([], tf.string)})
        tens = tf.fill(tf.shape(examples), 10.0)
        return {
            "caption": self.table.lookup(parsed["image_id"]),
            "token_nll": tens * self.nll,
            "token_correct": tens * 0.5,
            "token_count": tens,
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def eval_images(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Fails on Examples without images."""
        parsed = tf.io.parse_example(examples, {"image/encoded": tf.io.FixedLenFeature([], tf.string)})
        with tf.control_dependencies([parsed["image/encoded"]]):
            return self.eval_examples(tf.identity(examples))


@pytest.fixture(scope="module", autouse=True)
def no_java() -> Iterator[None]:
    with without_java():
        yield


@pytest.fixture(scope="module")
def save_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., standard_artifacts.Model]:
    def save(
        answers: Answers, nll: float = 2.0, encoder: str = "one", old: bool = False
    ) -> standard_artifacts.Model:
        artifact = standard_artifacts.Model()
        artifact.uri = str(tmp_path_factory.mktemp("model"))
        model = TableModel(answers, nll)
        path = f"{artifact.uri}/Format-Serving"
        signatures = {"eval_examples": model.eval_examples, "eval_images": model.eval_images}
        if old:
            del signatures["eval_images"]
        tf.saved_model.save(model, path, signatures=signatures)
        encoder_identity.write(path, encoder)
        SeenCaptions.of([LEARNED]).write(path)
        return artifact

    return save


def _write_examples(
    folder: pathlib.Path, references: Mapping[str, Sequence[str]], image: str = "image/features"
) -> standard_artifacts.Examples:
    artifact = standard_artifacts.Examples()
    artifact.uri = str(folder)
    artifact.split_names = artifact_utils.encode_split_names(["eval"])
    examples_utils.set_payload_format(artifact, example_gen_pb2.FORMAT_TF_EXAMPLE)
    examples_utils.set_file_format(artifact, "tfrecords_gzip")
    (folder / "Split-eval").mkdir(parents=True)
    with tf.io.TFRecordWriter(str(folder / "Split-eval" / "data-00000-of-00001.gz"), "GZIP") as writer:
        for image_id, captions in references.items():
            feature = {
                "image_id": [image_id.encode()],
                "captions": [caption.encode() for caption in captions],
                image: [np.ones(8, np.float16).tobytes()],
                "source": [b"here" if image_id.startswith("cat") else b"there"],
            }
            example = tf.train.Example()
            for name, values in feature.items():
                example.features.feature[name].bytes_list.value.extend(values)
            writer.write(example.SerializeToString())
    return artifact


@pytest.fixture
def judge(tmp_path: pathlib.Path) -> Callable[..., Verdict]:
    """Evaluates a candidate beside the model in `serving`, as the pipeline does."""

    def run(
        model: standard_artifacts.Model,
        in_service: standard_artifacts.Model | None = None,
        references: Mapping[str, Sequence[str]] = REFERENCES,
        gate: GateConfig = GATE,
        force: str = "",
    ) -> Verdict:
        serving = tmp_path / "serving"
        if in_service is not None:
            serving.mkdir()
            (serving / "7").symlink_to(f"{in_service.uri}/Format-Serving")
        baseline, evaluation, blessing = (
            standard_artifacts.Model(),
            standard_artifacts.ModelEvaluation(),
            standard_artifacts.ModelBlessing(),
        )
        for name, artifact in (("baseline", baseline), ("evaluation", evaluation), ("blessing", blessing)):
            artifact.uri = str(tmp_path / name)
            (tmp_path / name).mkdir()
        Baseline.test_call(baseline=baseline, serving_dir=str(serving), in_service="newest")
        evaluate(
            _write_examples(tmp_path / "features", references, "image/features"),
            _write_examples(tmp_path / "examples", references, "image/encoded"),
            model,
            baseline,
            evaluation,
            blessing,
            proto_utils.proto_to_json(build_eval_config()),
            gate.gate().to_json(),
            "eval",
            force,
            1,
            beam.Pipeline(options=PipelineOptions(["--runner=DirectRunner", "--allow_unsafe_triggers"])),
        )
        verdict = verdicts.read(str(tmp_path / "blessing" / "verdict.json"))
        assert blessing.get_int_custom_property("blessed") == int(verdict.blessed), "what the Pusher reads"
        assert blessing.get_string_custom_property("verdict") == verdict.to_json()
        assert blessing.get_string_custom_property("outcome") == verdict.sentences[0]
        return verdict

    return run


def test_the_first_model_needs_only_the_bounds(judge: Callable[..., Verdict], save_model: Callable) -> None:
    verdict = judge(save_model(GOOD))
    assert verdict.blessed
    assert verdict.baseline_metrics is None
    assert verdict.sentences[0].endswith("there is no model in service to compare it with.")
    plain = score_captions(
        [GOOD[image] for image in REFERENCES], list(REFERENCES.values()), training=[LEARNED]
    )
    expected = plain | {
        "images": 3 * COPIES,
        "token_cross_entropy": 2.0,
        "perplexity": math.exp(2.0),
        "token_accuracy": 0.5,
    }
    assert verdict.overall == pytest.approx(expected, abs=1e-9)
    assert verdict.not_computed == {"meteor": "left out of this test"}


def test_meteor_is_that_of_each_model(
    judge: Callable[..., Verdict], save_model: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lengths(systems, references):
        assert len(references) == 3 * COPIES
        return [sum(map(len, captions)) / 100 for captions in systems]

    monkeypatch.setattr(meteor, "meteor", lengths)
    verdict = judge(save_model({image: "a dog" for image in REFERENCES}), in_service=save_model(GOOD))
    assert verdict.overall["meteor"] == pytest.approx(0.06 * COPIES)
    assert verdict.baseline_overall["meteor"] == pytest.approx(0.17 * COPIES)


def test_slices_have_scores_of_their_own(judge: Callable[..., Verdict], save_model: Callable) -> None:
    verdict = judge(save_model(GOOD))
    assert {"", "source=here", "source=there", "caption_length=0-8"} == set(verdict.metrics)
    assert verdict.metrics["source=here"]["images"] == COPIES
    # The mean of CIDEr-D over slices, weighted by images, is that over all images.
    mean = (verdict.metrics["source=here"]["cider_d"] + 2 * verdict.metrics["source=there"]["cider_d"]) / 3
    assert mean == pytest.approx(verdict.overall["cider_d"])


def test_a_better_model_passes(judge: Callable[..., Verdict], save_model: Callable, tmp_path) -> None:
    verdict = judge(save_model(BETTER, nll=1.9), in_service=save_model(GOOD))
    assert verdict.blessed, verdict.sentences
    assert all(check.passed for check in verdict.checks)
    assert verdict.baseline_overall is not None
    assert verdict.overall["cider_d"] > verdict.baseline_overall["cider_d"]
    assert verdict.sentences[0].endswith("is not worse than the model in service.")
    assert (verdict.baseline_version, verdict.scored_from) == ("7", "features")
    kept = {record.image_id: record.models for record in records.read(str(tmp_path / "evaluation"))}
    assert {image: models["candidate"].caption for image, models in kept.items()} == BETTER
    assert {image: models["baseline"].caption for image, models in kept.items()} == GOOD
    assert {image[:3]: models["baseline"].novel for image, models in kept.items()} == {
        "bik": True,
        "cat": True,
        "dog": False,
    }


def test_a_worse_model_is_refused_though_it_keeps_the_bounds(
    judge: Callable[..., Verdict], save_model: Callable
) -> None:
    verdict = judge(save_model(WORST, nll=2.2), in_service=save_model(GOOD), gate=LENIENT)
    assert not verdict.blessed
    assert verdict.overall["bleu_4"] > LENIENT.min_bleu_4
    assert verdict.sentences[0] == "NOT BLESSED because of: BLEU-4, CIDEr-D, Token cross-entropy."


def test_a_person_may_push_it_all_the_same(judge: Callable[..., Verdict], save_model: Callable) -> None:
    verdict = judge(save_model(WORST), in_service=save_model(GOOD), gate=LENIENT, force="the old one lies")
    assert verdict.blessed
    assert verdict.forced == "the old one lies"


def test_with_another_encoder_both_are_scored_from_the_images(
    judge: Callable[..., Verdict], save_model: Callable
) -> None:
    verdict = judge(save_model(BETTER), in_service=save_model(GOOD, encoder="another"))
    assert verdict.blessed
    assert verdict.scored_from == "images"


def test_a_baseline_that_cannot_read_images_is_not_taken_for_a_first_run(
    judge: Callable[..., Verdict], save_model: Callable
) -> None:
    verdict = judge(save_model(BETTER), in_service=save_model(GOOD, encoder="another", old=True))
    assert not verdict.blessed
    assert "version 7, cannot be compared: it has no signature 'eval_images'" in verdict.sentences[-1]


def test_a_loss_that_is_no_number_is_refused(judge: Callable[..., Verdict], save_model: Callable) -> None:
    verdict = judge(save_model(GOOD, nll=float("nan")))
    assert not verdict.blessed
    assert verdict.sentences[0] == "NOT BLESSED because of: Token cross-entropy."


def test_no_images_are_no_blessing(judge: Callable[..., Verdict], save_model: Callable) -> None:
    verdict = judge(save_model(GOOD), references={})
    assert not verdict.blessed
    assert verdict.sentences == ["NOT BLESSED: no image was evaluated, so nothing is known of the model."]


def test_a_baseline_that_lost_its_model_is_not_taken_for_a_first_run(tmp_path: pathlib.Path) -> None:
    baseline = standard_artifacts.Model()
    baseline.uri = str(tmp_path)
    baseline.set_int_custom_property("has_model", 1)
    with pytest.raises(FileNotFoundError, match="Run the pipeline again"):
        reading.saved_model(baseline)


def test_in_a_pipeline_the_same_run_again_pushes_nothing_and_a_new_one_meets_the_pushed_model(
    tmp_path: pathlib.Path, save_model: Callable
) -> None:
    serving, record = str(tmp_path / "serving"), str(tmp_path / "last_run.json")
    examples = _write_examples(tmp_path / "examples", REFERENCES)

    def run(model: standard_artifacts.Model) -> str:
        """Runs evaluator and pusher once; returns what the candidate was compared with."""
        compared_with = plan.plan(serving, record, fingerprint=model.uri)
        data, candidate = (
            dsl.Importer(
                source_uri=artifact.uri, artifact_type=type(artifact), properties=properties
            ).with_id(name)
            for name, artifact, properties in (
                ("Data", examples, {"split_names": examples.split_names}),
                ("Candidate", model, {}),
            )
        )
        baseline = Baseline(serving_dir=serving, in_service=compared_with)
        evaluator = CaptionEvaluator(
            features=data.outputs["result"],
            examples=data.outputs["result"],
            model=candidate.outputs["result"],
            baseline_model=baseline.outputs["baseline"],
            eval_config=proto_utils.proto_to_json(build_eval_config()),
            gate=LENIENT.gate().to_json(),
        )
        pusher = Pusher(
            model=candidate.outputs["result"],
            model_blessing=evaluator.outputs["blessing"],
            push_destination=pusher_pb2.PushDestination(
                filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=serving)
            ),
        )
        LocalDagRunner().run(
            dsl.Pipeline(
                pipeline_name="gate",
                pipeline_root=str(tmp_path / "pipeline"),
                components=[data, candidate, baseline, evaluator, pusher],
                beam_pipeline_args=["--runner=DirectRunner", "--allow_unsafe_triggers"],
                metadata_connection_config=sqlite_metadata_connection_config(str(tmp_path / "metadata.db")),
                enable_cache=True,
            )
        )
        plan.remember(serving, record, model.uri, compared_with)
        return compared_with

    good, worse, broken = save_model(GOOD), save_model(WORST), save_model(GOOD, nll=float("nan"))
    assert run(good) == "none"
    (first,) = os.listdir(serving)
    assert run(good) == "none"
    assert os.listdir(serving) == [first]
    assert len(os.listdir(tmp_path / "pipeline" / "CaptionEvaluator" / "evaluation")) == 1, "cached"
    assert run(worse).startswith(f"{first}-")
    assert os.listdir(serving) == [first], "refused"
    run(broken)
    assert os.listdir(serving) == [first], "refused, though a database takes no NaN"
