"""A run that was judged, made up: its record, verdict and evaluated images, as a pipeline leaves them."""

import dataclasses
import gzip
import hashlib
import io
import json
import pathlib

import pytest
from PIL import Image

from components.evaluator.gate import judge
from components.evaluator.records import ImageRecord, Record
from components.evaluator.rules import Gate, Rule
from components.evaluator.scores import Scores
from models import features as names
from pipeline import runs
from pipeline.config import PipelineConfig
from pipeline.paths import Paths

COUNT = 24
MEAN = "a < b & <script>alert(1)</script>"  # as a caption may be


def jpeg(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (640, 480), (10 * number, 80, 120)).save(file, "jpeg")
    return file.getvalue()


def record(number: int, baseline: bool) -> ImageRecord:
    """An image; the larger its number, the more the candidate gains."""
    models = {
        "candidate": Record(MEAN if number == 0 else "a dog runs", 20.0, 4.0, 10.0, 0.15 * number, True)
    }
    if baseline:
        models["baseline"] = Record("a cat", 22.0, 4.0, 10.0, 1.75, True)
    return ImageRecord(
        f"image-{number}",
        hashlib.sha256(jpeg(number)).hexdigest(),
        (f"a dog runs in field {number}", "the dog"),
        {"span": str(1 + number % 2), "source": "folder"},
        models,
    )


@dataclasses.dataclass
class Judged:
    """A root with one run."""

    paths: Paths
    run: runs.Run


@pytest.fixture
def make_run(tmp_path: pathlib.Path):
    """Writes a run and its artifacts."""
    import tensorflow as tf

    def make(baseline: bool = True, force: str = "", **fields) -> Judged:
        paths = Paths(str(tmp_path / "root"))
        evaluation, examples, model_run, featurized = (
            tmp_path / name for name in ("evaluation", "examples", "model_run", "featurized")
        )
        for folder in (evaluation, examples / "Split-eval", model_run, featurized):
            folder.mkdir(parents=True, exist_ok=True)
        records = [record(number, baseline) for number in range(COUNT)]
        lines = "".join(each.to_json() + "\n" for each in records)
        (evaluation / "records-00000-of-00001.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
        with tf.io.TFRecordWriter(str(examples / "Split-eval" / "data.gz"), "GZIP") as writer:
            for number, each in enumerate(records):
                example = tf.train.Example()
                for name, value in (
                    (names.CONTENT_HASH, each.content_hash.encode()),
                    (names.IMAGE_ENCODED, jpeg(number)),
                ):
                    example.features.feature[name].bytes_list.value.append(value)
                writer.write(example.SerializeToString())
        epochs = [{"epoch": n, "loss": 4.0 / n, "eval_loss": 5.0 / n} for n in (1, 2, 3)]
        rewards = [{"epoch": 0, "eval_reward": 0.5}, {"epoch": 1, "reward": 0.6, "eval_reward": 0.55}]
        history = {"parameters": 12345, "epochs": epochs, "self_critical": rewards}
        (model_run / "training.json").write_text(json.dumps(history))
        (featurized / "rejected.jsonl").write_text('{"image_id": "x", "reason": "not an image"}\n')
        values = {"bleu_4": 0.4, "cider_d": 1.75, "images": float(COUNT)}
        scored = {of: dict(values) for of in ("", "span=1", "span=2", "source=folder")}
        verdict = judge(
            Gate((Rule("bleu_4", True, 0.1, 0.9), Rule("cider_d", True, 0.25)), resamples=100),
            Scores(scored, {of: values | {"bleu_4": 0.3} for of in scored} if baseline else None),
            records,
            {"meteor": "Java was not found"},
            baseline_version="17" if baseline else "",
            force=force,
        )
        split = {"images": 4, "captions": 8}
        span = {
            "source": "folder",
            "span": 1,
            "images": 12,
            "captions": 24,
            "images_read": 14,
            "captions_read": 24,
            "rejected": {"empty_file": 2},
            "splits": dict.fromkeys(("train", "eval", "test"), split),
            "in_several_splits": 1,
        }
        run = runs.Run(
            **{
                "id": "20260102-030405",
                "state": runs.PUSHED,
                "config": json.loads(PipelineConfig(name="mine").to_json()),
                "data": "data",
                "spans": [span],
                "encoder": "0123456789abcdef",
                "code": {"tfx-captioner": "0.1.0", "commit": "abc", "tensorflow": "2.21.0"},
                "machine": {"processor": "a fast one", "cores": "2"},
                "seconds": 90.0,
                "nodes": [
                    runs.Node("StrictExampleValidator", "done", 0.5),
                    runs.Node("Trainer", "cached", 80.0),
                ],
                "artifacts": {
                    "evaluation": str(evaluation),
                    "examples": str(examples),
                    "model_run": str(model_run),
                    "featurized": str(featurized),
                },
                "pushed": str(tmp_path / "root" / "serving" / "captioner" / "18"),
            }
            | fields
        )
        run.write(paths)
        verdict.write(paths.report(run.id, "verdict.json"))
        return Judged(paths, run)

    return make
