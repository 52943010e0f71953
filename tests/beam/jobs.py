"""Every Beam job of a run on tiny data, with any runner's flags, and what it wrote in a form that compares.

Records are compared as sets: how many files they lie in, and in which order, is the runner's affair. So are
the last bits of a sum, which is taken in bundles: numbers are rounded.
"""

import gzip
import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import apache_beam as beam
import tensorflow as tf
import tensorflow_data_validation as tfdv
from google.protobuf import json_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.components.util import examples_utils
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import io_utils, proto_utils

from components.evaluator import executor as evaluator
from components.evaluator import records, scores
from components.image_featurizer import executor as featurizer
from components.span_example_gen import inspection, spans
from components.statistics_gen.executor import Executor as StatisticsGen
from components.transform import executor as transform
from models import encoder_identity, features
from models.config import CorpusConfig, EncoderConfig
from models.seen_captions import SeenCaptions
from pipeline.eval_config import GateConfig, build_eval_config
from pipeline.importers.importer import ImportOptions, import_source
from pipeline.importers.records import Entry, Source
from pipeline.importers.scenes import make_source

Argv = Sequence[str]

# The work of a few files for several workers, and one early layer of a random encoder.
IMAGES: Final = {"train": 20, "eval": 6}
ENCODER: Final = EncoderConfig(weights="random", layer="mixed0", seed=5)
_CORPUS: Final = CorpusConfig(min_images=2, word_vectors="none")
SCHEMAS: Final = pathlib.Path(__file__).parents[2] / "pipeline" / "schemas"


class NotAnImage:
    """A file that the importer sets aside."""

    path = "broken.jpg"

    def read(self) -> bytes:
        return b"\xff\xd8 not a whole JPEG"


def source() -> Source:
    """Scenes, one broken picture among them."""
    scenes = make_source(IMAGES["train"], IMAGES["eval"], 0)
    scenes.entries.append(Entry("broken", NotAnImage(), ("a broken picture",), "train"))
    return scenes


def run_import(argv: Argv, out: pathlib.Path) -> dict[str, Any]:
    """The importer: its manifest has the hash of every shard."""
    import_source(source(), out, ImportOptions(shard_images=6, beam_args=argv))
    span = out / "span-0001"
    written = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in span.iterdir()}
    return {"manifest": json.loads((span / "manifest.json").read_text()), "files": written}


def examples_of(span: pathlib.Path, folder: pathlib.Path) -> standard_artifacts.Examples:
    """A span as the pipeline's Examples."""
    artifact = standard_artifacts.Examples()
    artifact.uri = str(folder)
    artifact.split_names = artifact_utils.encode_split_names(["train", "eval"])
    examples_utils.set_payload_format(artifact, example_gen_pb2.FORMAT_TF_EXAMPLE)
    examples_utils.set_file_format(artifact, "tfrecords_gzip")
    for split in IMAGES:
        (folder / f"Split-{split}").mkdir(parents=True)
        for shard in span.glob(f"{split}-*.gz"):
            (folder / f"Split-{split}" / shard.name).hardlink_to(shard)
    return artifact


def run_featurizer(
    argv: Argv, out: pathlib.Path, examples: standard_artifacts.Examples, store: pathlib.Path
) -> tuple[standard_artifacts.Examples, dict[str, Any]]:
    """The ImageFeaturizer: the artifact, and what is in it."""
    featurized, encoder = standard_artifacts.Examples(), standard_artifacts.Model()
    for artifact, name in ((featurized, "featurized"), (encoder, "encoder")):
        artifact.uri = str(out / name)
        (out / name).mkdir(parents=True)
    featurizer.featurize(
        examples, featurized, encoder, ENCODER.to_json(), str(store), beam.Pipeline(argv=list(argv))
    )
    return featurized, {
        "records": read_records(featurized),
        "counts": [
            featurized.get_int_custom_property(f"images_{n}") for n in ("computed", "reused", "failed")
        ],
        "rejected": sorted((out / "featurized" / "rejected.jsonl").read_text().splitlines()),
    }


def run_inspection(argv: Argv, out: pathlib.Path, data: pathlib.Path) -> dict[str, Any]:
    """SpanExampleGen's look at the span of an import."""
    (span,) = spans.find(str(data))
    schema = io_utils.parse_pbtxt_file(str(SCHEMAS / "raw" / "schema.pbtxt"), schema_pb2.Schema())
    found = inspection.inspect(span, schema, [], None, 0, str(out), beam.Pipeline(argv=list(argv)))
    return {
        "tally": found.tally,
        "broken": found.broken,
        "statistics": _statistics(found.statistics),
        "raw_statistics": _statistics(found.raw_statistics),
        "pictures": sorted(
            line for path in out.rglob("pictures-*") for line in gzip.decompress(path.read_bytes()).split()
        ),
    }


def run_statistics(argv: Argv, out: pathlib.Path, examples: standard_artifacts.Examples) -> dict[str, Any]:
    """StatisticsGen: the statistics of each split."""
    statistics = standard_artifacts.ExampleStatistics()
    statistics.uri = str(out)
    StatisticsGen(_context(argv, out)).Do(
        {"examples": [examples], "schema": [_schema("raw")]},
        {"statistics": [statistics]},
        {},
    )
    return {
        split: _statistics(tfdv.load_stats_binary(str(out / f"Split-{split}" / "FeatureStats.pb")))
        for split in IMAGES
    }


def run_transform(
    argv: Argv,
    out: pathlib.Path,
    featurized: standard_artifacts.Examples,
    baseline: standard_artifacts.Model | None = None,
) -> dict[str, Any]:
    """Transform: the vocabulary, which goes on from that of `baseline`, and the transformed Examples."""
    graph, transformed = standard_artifacts.TransformGraph(), standard_artifacts.Examples()
    for artifact, name in ((graph, "graph"), (transformed, "transformed")):
        artifact.uri = str(out / name)
    transform.Executor(_context(argv, out)).Do(
        {
            "examples": [featurized],
            "schema": [_schema("featurized")],
            transform.BASELINE: [] if baseline is None else [baseline],
        },
        {"transform_graph": [graph], "transformed_examples": [transformed]},
        {transform.CORPUS: _CORPUS.replace(vocabulary="grow").to_json()},
    )
    (vocabulary,) = (out / "graph").glob("transform_fn/assets/*")
    return {"vocabulary": vocabulary.read_text().splitlines(), "records": read_records(transformed)}


def model_that_knows(words: Sequence[str], folder: pathlib.Path) -> standard_artifacts.Model:
    """What Transform reads of a model in service: its vocabulary."""
    model = standard_artifacts.Model()
    model.uri = str(folder)
    path = folder / "Format-Serving" / features.VOCABULARY_FILE
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{word}\n" for word in (*features.ACTION_WORDS, *words)), encoding="utf-8")
    (folder / "Format-Serving" / "saved_model.pb").touch()
    return model


class _TableModel(tf.Module):
    """Says of each image what a table has for it."""

    def __init__(self, captions: Mapping[str, str]):
        super().__init__()
        words = tf.lookup.KeyValueTensorInitializer(list(captions), list(captions.values()))
        self.table = tf.lookup.StaticHashTable(words, "")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def eval_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(examples, {features.IMAGE_ID: tf.io.FixedLenFeature([], tf.string)})
        tens = tf.fill(tf.shape(examples), 10.0)
        return {
            features.CAPTION_OUTPUT: self.table.lookup(parsed[features.IMAGE_ID]),
            features.TOKEN_NLL_OUTPUT: tens * 2,
            features.TOKEN_CORRECT_OUTPUT: tens / 2,
            features.TOKEN_COUNT_OUTPUT: tens,
        }


def save_models(folder: pathlib.Path) -> dict[str, standard_artifacts.Model]:
    """A candidate that says each image's first caption, and a model in service that says little."""
    good = {entry.image_id: entry.captions[0] for entry in source().entries}
    saved = {}
    for name, captions in (("candidate", good), ("baseline", dict.fromkeys(good, "a picture of a circle"))):
        saved[name] = standard_artifacts.Model()
        saved[name].uri = str(folder / name)
        model = _TableModel(captions)
        path = f"{folder / name}/Format-Serving"
        tf.saved_model.save(model, path, signatures={features.EVAL_SIGNATURE: model.eval_examples})
        encoder_identity.write(path, "one")
        SeenCaptions.of([good["scene-eval-00001"]]).write(path)
    return saved


def run_evaluator(
    argv: Argv,
    out: pathlib.Path,
    featurized: standard_artifacts.Examples,
    models: Mapping[str, standard_artifacts.Model],
) -> dict[str, Any]:
    """The CaptionEvaluator: metrics by slice of both models, the records of all images, the verdict."""
    evaluation, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
    for artifact, name in ((evaluation, "evaluation"), (blessing, "blessing")):
        artifact.uri = str(out / name)
        (out / name).mkdir(parents=True)
    evaluator.evaluate(
        featurized,
        featurized,
        models["candidate"],
        models["baseline"],
        evaluation,
        blessing,
        proto_utils.proto_to_json(build_eval_config()),
        GateConfig().gate().to_json(),
        "eval",
        "",
        0,
        beam.Pipeline(argv=list(argv)),
    )
    found = scores.read(evaluation.uri)
    return _rounded(
        {
            "candidate": found.candidate,
            "baseline": found.baseline,
            "records": [json.loads(record.to_json()) for record in records.read(evaluation.uri)],
            "verdict": json.loads((out / "blessing" / "verdict.json").read_text()),
        }
    )


def read_records(artifact: standard_artifacts.Examples) -> dict[str, list[str]]:
    """Hash of each Example by split, sorted. In the bytes that Transform writes, features have no order."""
    found = {}
    for split in artifact_utils.decode_split_names(artifact.split_names):
        files = [str(path) for path in pathlib.Path(artifact.uri, f"Split-{split}").iterdir()]
        contents = tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator()
        examples = (tf.train.Example.FromString(content) for content in contents)
        found[split] = sorted(
            hashlib.sha256(example.SerializeToString(deterministic=True)).hexdigest() for example in examples
        )
    return found


def _statistics(message: Any) -> dict[str, Any]:
    """Statistics of one data set, the features in order."""
    (dataset,) = json_format.MessageToDict(message)["datasets"]
    dataset["features"].sort(key=lambda feature: str(feature["path"]))
    return _rounded(dataset)


def _rounded(values: Any) -> Any:
    """Numbers to nine digits: a deviation is a difference of sums, and loses more than its last bit."""
    return json.loads(
        json.dumps(values), parse_float=lambda number: float(f"{float(number):.9g}"), parse_constant=str
    )


def _schema(name: str) -> standard_artifacts.Schema:
    schema = standard_artifacts.Schema()
    schema.uri = str(SCHEMAS / name)
    return schema


def _context(argv: Argv, out: pathlib.Path) -> BaseBeamExecutor.Context:
    return BaseBeamExecutor.Context(
        beam_pipeline_args=list(argv), tmp_dir=str(out.parent / "tmp"), unique_id=out.name
    )
