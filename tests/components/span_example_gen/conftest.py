"""Spans of small grey pictures whose captions name their grey, and a model that knows how to tell."""

import dataclasses
import hashlib
import io
import json
import pathlib
from collections.abc import Callable, Sequence

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from PIL import Image
from tfx.types import standard_artifacts

from components.span_example_gen.component import SpanExampleGen
from components.span_example_gen.config import SpansConfig
from models import encoder_identity, features

SCHEMA = pathlib.Path(__file__).parents[3] / "pipeline/schemas/raw/schema.pbtxt"
SIDE = 16


@dataclasses.dataclass(frozen=True)
class Picture:
    """A grey picture; `number` makes it another one than those of the same grey."""

    number: int
    grey: int
    caption: str
    side: int = SIDE

    @property
    def encoded(self) -> bytes:
        random = np.random.default_rng(self.number)
        pixels = np.full((self.side, self.side, 3), self.grey) + random.integers(
            -3, 4, (self.side, self.side, 1)
        )
        file = io.BytesIO()
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=95)
        return file.getvalue()


def pictures(start: int, count: int, **changes) -> list[Picture]:
    """`count` pictures with greys at random, numbered from `start` on."""
    greys = np.random.default_rng(start).integers(20, 236, count)
    made = [Picture(start + i, int(grey), f"grey {grey}") for i, grey in enumerate(greys)]
    return [dataclasses.replace(picture, **changes) for picture in made]


def raw_example(picture: Picture, span: int) -> tf.train.Example:
    example = tf.train.Example()
    image = picture.encoded
    for name, value in (
        (features.IMAGE_ID, f"{picture.number}.jpg".encode()),
        (features.IMAGE_ENCODED, image),
        (features.CAPTIONS, picture.caption.encode()),
        (features.SOURCE, b"greys"),
        (features.CONTENT_HASH, hashlib.sha256(image).hexdigest().encode()),
    ):
        example.features.feature[name].bytes_list.value.append(value)
    for name, number in (
        (features.WIDTH, picture.side),
        (features.HEIGHT, picture.side),
        (features.SPAN, span),
    ):
        example.features.feature[name].int64_list.value.append(number)
    return example


def write_shard(path: pathlib.Path, examples: Sequence[tf.train.Example]) -> None:
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for example in examples:
            writer.write(example.SerializeToString(deterministic=True))


def manifest(folder: pathlib.Path, number: int) -> None:
    """Writes what the importer writes of the shards, as far as spans are judged by it."""
    splits = {
        split: {
            "shards": [
                {
                    "file": path.name,
                    "images": sum(1 for _ in tf.data.TFRecordDataset(str(path), "GZIP")),
                    "bytes": path.stat().st_size,
                    "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                }
                for path in sorted(folder.glob(f"{split}-*"))
            ]
        }
        for split in ("train", "eval", "test")
    }
    (folder / "manifest.json").write_text(json.dumps({"span": number, "splits": splits}))


def write_span(
    data: pathlib.Path,
    number: int,
    train: Sequence[Picture],
    eval_: Sequence[Picture],
    change: Callable[[tf.train.Example], None] = lambda example: None,
) -> pathlib.Path:
    """Writes a span as the importers do; `change` is done to each Example."""
    folder = data / f"span-{number:04}"
    folder.mkdir(parents=True)
    for split, members in (("train", train), ("eval", eval_)):
        examples = [raw_example(picture, number) for picture in members]
        for example in examples:
            change(example)
        if examples:
            write_shard(folder / f"{split}-00000-of-00001.tfrecord.gz", examples)
    manifest(folder, number)
    return folder


class Encoder(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def encode(self, image_bytes):
        def mean(image):
            return tf.reduce_mean(tf.cast(tf.io.decode_jpeg(image, channels=3), tf.float32))

        good = tf.map_fn(tf.io.is_jpeg, image_bytes, fn_output_signature=tf.bool)
        means = tf.map_fn(
            lambda image: tf.cond(tf.io.is_jpeg(image), lambda: mean(image), lambda: 0.0),
            image_bytes,
            fn_output_signature=tf.float32,
        )
        return means[:, None, None], good


class GreyModel(tf.Module):
    """Expects the caption to name the mean of the picture: the farther off, the less likely."""

    def __init__(self, vocabulary: str):
        super().__init__()
        self.encoder = Encoder()
        self.vocabulary_file = tf.saved_model.Asset(vocabulary)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def evaluate(self, examples):
        parsed = tf.io.parse_example(
            examples,
            {
                features.IMAGE_FEATURES: tf.io.FixedLenFeature([], tf.string),
                features.CAPTIONS: tf.io.FixedLenFeature([], tf.string),
            },
        )
        seen = tf.cast(tf.io.decode_raw(parsed[features.IMAGE_FEATURES], tf.float16)[:, 0], tf.float32)
        known = tf.strings.regex_full_match(parsed[features.CAPTIONS], r"grey \d+")
        number = tf.strings.regex_replace(parsed[features.CAPTIONS], "grey ", "")
        named = tf.strings.to_number(tf.where(known, number, "0"))
        nats = 1.0 + tf.abs(named - seen) / 20.0
        return {
            features.TOKEN_NLL_OUTPUT: tf.where(known, 2 * nats, 0.0),
            features.TOKEN_COUNT_OUTPUT: tf.where(known, tf.fill(tf.shape(seen), 2.0), 0.0),
        }


@pytest.fixture(scope="session")
def grey_model(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A serving directory with the model in it."""
    folder = tmp_path_factory.mktemp("model")
    vocabulary = folder / "vocabulary"
    vocabulary.write_text("\n".join(["{MASK}", "grey", *map(str, range(256))]) + "\n")
    model = GreyModel(str(vocabulary))
    serving = folder / "serving"
    tf.saved_model.save(model, str(serving / "3"), signatures={features.EVAL_SIGNATURE: model.evaluate})
    encoder_identity.write(str(serving / "3"), "greys")
    return serving


@dataclasses.dataclass
class Place:
    """Data, records and a serving directory, and the component on them."""

    root: pathlib.Path
    serving: pathlib.Path

    @property
    def data(self) -> pathlib.Path:
        return self.root / "data"

    @property
    def records(self) -> pathlib.Path:
        return self.root / "records"

    def run(self, spans: str = "newest", **options) -> list[dict]:
        """Runs the component as TFX does, and returns its judgements."""
        schema = standard_artifacts.Schema()
        schema.uri = str(self.root / "schema")
        (self.root / "schema").mkdir(exist_ok=True)
        (self.root / "schema" / "schema.pbtxt").write_text(SCHEMA.read_text())
        self.examples = standard_artifacts.Examples()
        self.examples.uri = str(self.root / "examples")
        judgements = standard_artifacts.ExampleAnomalies()
        judgements.uri = str(self.root / "judgements")
        SpanExampleGen.test_call(
            schema=schema,
            examples=self.examples,
            judgements=judgements,
            data_dir=str(self.data),
            records_dir=str(self.records),
            serving_dir=str(self.serving),
            config=SpansConfig(**options).to_json(),
            spans=spans,
            beam_pipeline=beam.Pipeline(runner=FnApiRunner()),
        )
        return json.loads((self.root / "judgements/judgements.json").read_text())

    def good_span(self, number: int, **changes) -> pathlib.Path:
        """Writes a span of 40 new pictures, a quarter of them to judge by."""
        made = pictures(1000 * number, 40)
        return write_span(self.data, number, made[10:], made[:10], **changes)


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
    """Without a model in service."""
    return Place(tmp_path, tmp_path / "serving")


@pytest.fixture
def served(tmp_path: pathlib.Path, grey_model: pathlib.Path) -> Place:
    """With the model in service."""
    return Place(tmp_path, grey_model)
