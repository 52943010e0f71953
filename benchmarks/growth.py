"""Time and memory of the Beam jobs as the data grows: import, features, statistics, Transform.

    python -m benchmarks.growth [--images 1000 4000 16000 64000] [--real 128 384] [--layer mixed10]

Pictures are drawn while they are imported, each another JPEG; their words come from a list that does not
grow. Features come from an encoder that decodes an image and hardly does more, so that what grows is seen;
with `--real`, those of InceptionV3 are computed as well. Every job has a process of its own, in which Beam's
direct runner works as in `captioner run`, so its highest resident size is its own.

Linear: the largest number takes at most 10 % more than the line through the two before it foretells. Judged
is the CPU time, start-up included, which other programs on the machine change far less than wall time.
Flat: the peak at the largest is at most 10 % above that at the second smallest. (Beam takes a thousand
records at once only after it has seen some thousands.)
"""

import argparse
import dataclasses
import io
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, Final

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

from models.config import CorpusConfig, EncoderConfig

_BEAM: Final = ["--runner=DirectRunner", "--allow_unsafe_triggers"]
_ALLOWED: Final = 0.1
_WORDS: Final = 3000
_CAPTIONS: Final = 5
_EVAL_SHARE: Final = 10  # one in so many
_SCHEMAS: Final = pathlib.Path(__file__).parents[1] / "pipeline" / "schemas"


@dataclasses.dataclass(frozen=True)
class Drawn:
    """The JPEG of a number: 160x120, unlike all others."""

    number: int

    @property
    def path(self) -> str:
        return f"{self.number}.jpg"

    def read(self) -> bytes:
        draw = random.Random(self.number)
        picture = Image.new("RGB", (160, 120), _colour(draw))
        pen = ImageDraw.Draw(picture)
        for _ in range(6):
            left, top = draw.randrange(140), draw.randrange(100)
            pen.rectangle((left, top, left + draw.randrange(90), top + draw.randrange(70)), _colour(draw))
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=90)
        return file.getvalue()


def _colour(draw: random.Random) -> tuple[int, int, int]:
    return draw.randrange(256), draw.randrange(256), draw.randrange(256)


def _captions(number: int) -> tuple[str, ...]:
    """Captions of ten words, common ones far more often than rare ones."""
    draw = random.Random(-number - 1)
    return tuple(" ".join(f"w{int(_WORDS ** draw.random())}" for _ in range(10)) for _ in range(_CAPTIONS))


def run_import(folder: pathlib.Path, images: int, _: EncoderConfig | None) -> None:
    from pipeline.importers.importer import ImportOptions, import_source
    from pipeline.importers.records import Entry, Source

    splits = ("eval" if number % _EVAL_SHARE == 0 else "train" for number in range(images))
    entries = [
        Entry(f"{number:09}", Drawn(number), _captions(number), split) for number, split in enumerate(splits)
    ]
    import_source(Source("growth", entries), folder / "data", ImportOptions())


def run_features(folder: pathlib.Path, _: int, real: EncoderConfig | None) -> None:
    import apache_beam as beam
    from tfx.types import standard_artifacts

    from components.image_featurizer import executor
    from models import image_encoder

    config = real or EncoderConfig(weights="random")
    store = folder / ("store-real" if real else "store")
    if real is None:
        _place_cheap_encoder(store / image_encoder.encoder_fingerprint(config))
    name = "real" if real else "featurized"
    featurized, encoder = standard_artifacts.Examples(), standard_artifacts.Model()
    featurized.uri, encoder.uri = str(folder / name), str(folder / f"{name}-encoder")
    executor.featurize(
        _examples(folder), featurized, encoder, config.to_json(), str(store), beam.Pipeline(argv=_BEAM)
    )
    if featurized.get_int_custom_property("images_reused"):
        raise RuntimeError("the store was not empty: this measures nothing")


def run_statistics(folder: pathlib.Path, _: int, __: EncoderConfig | None) -> None:
    from tfx.types import standard_artifacts

    from components.statistics_gen.executor import Executor

    statistics = standard_artifacts.ExampleStatistics()
    statistics.uri = str(folder / "statistics")
    Executor(_context(folder)).Do(
        {"examples": [_examples(folder)], "schema": [_schema("raw")]},
        {"statistics": [statistics]},
        {},
    )


def run_transform(folder: pathlib.Path, _: int, __: EncoderConfig | None) -> None:
    from tfx.types import standard_artifacts

    from components.transform import executor

    graph, transformed = standard_artifacts.TransformGraph(), standard_artifacts.Examples()
    graph.uri, transformed.uri = str(folder / "graph"), str(folder / "transformed")
    corpus = CorpusConfig(word_vectors="none").to_json()
    executor.Executor(_context(folder)).Do(
        {"examples": [_examples(folder, "featurized")], "schema": [_schema("featurized")]},
        {"transform_graph": [graph], "transformed_examples": [transformed]},
        {executor.CORPUS: corpus},
    )


JOBS: Final[dict[str, Callable[[pathlib.Path, int, EncoderConfig | None], None]]] = {
    "import": run_import,
    "features": run_features,
    "statistics": run_statistics,
    "transform": run_transform,
}


def _examples(folder: pathlib.Path, name: str = "examples") -> Any:
    """The span, or what the featurizer made of it, as Examples."""
    from tfx.components.util import examples_utils
    from tfx.proto import example_gen_pb2
    from tfx.types import artifact_utils, standard_artifacts

    artifact = standard_artifacts.Examples()
    artifact.uri = str(folder / name)
    artifact.split_names = artifact_utils.encode_split_names(["train", "eval"])
    examples_utils.set_payload_format(artifact, example_gen_pb2.FORMAT_TF_EXAMPLE)
    examples_utils.set_file_format(artifact, "tfrecords_gzip")
    if not (folder / name).exists():
        for shard in (folder / "data" / "span-0001").glob("*.tfrecord.gz"):
            split = folder / name / f"Split-{shard.name.split('-')[0]}"
            split.mkdir(parents=True, exist_ok=True)
            (split / shard.name).hardlink_to(shard)
    return artifact


def _schema(name: str) -> Any:
    from tfx.types import standard_artifacts

    schema = standard_artifacts.Schema()
    schema.uri = str(_SCHEMAS / name)
    return schema


def _context(folder: pathlib.Path) -> Any:
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor

    return BaseBeamExecutor.Context(beam_pipeline_args=_BEAM, tmp_dir=str(folder / "tmp"), unique_id="1")


def _place_cheap_encoder(store: pathlib.Path) -> None:
    """Gives a store an encoder that hardly does more than decode an image.

    Its rows are as large as InceptionV3's and no more alike: noise, with an image's mean colours for a seed.
    """
    import tensorflow as tf

    from models import decode_image

    class Cheap(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def encode(self, image_bytes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            pixels, ok = decode_image.decode_images(image_bytes)
            colours = tf.reduce_mean(pixels, axis=[1, 2])
            seeds = tf.reduce_sum(colours * [131.0, 137.0, 139.0], axis=1, keepdims=True)
            rows = tf.sin(tf.range(1.0, 2049.0) * seeds)[:, tf.newaxis]
            return tf.cast(tf.cast(rows, tf.float16), tf.float32), ok

    tf.saved_model.save(Cheap(), str(store / "encoder-cheap"))
    note = {"encoder": "encoder-cheap", "shape": [1, 2048], "config": {}}
    (store / "encoder.json").write_text(json.dumps(note))


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a job took: seconds, seconds of CPU in all threads, and the highest resident MiB."""

    seconds: float
    cpu: float
    peak: float


def _measure(job: str, folder: pathlib.Path, images: int, real: str = "") -> Measured:
    """Runs a job in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.growth", "--job", job, str(folder), str(images), real]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{job} of {images} images failed:\n{done.stderr[-3000:]}")
    measured = Measured(**json.loads(done.stdout.splitlines()[-1]))
    print(f"{job}, {images} images: {measured}", file=sys.stderr, flush=True)
    return measured


def _run_job(job: str, folder: str, images: str, real: str) -> None:
    start, cpu = time.perf_counter(), time.process_time()
    JOBS[job](pathlib.Path(folder), int(images), EncoderConfig.from_json(real) if real else None)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    status = pathlib.Path("/proc/self/status").read_text().splitlines()
    (line,) = (text for text in status if text.startswith("VmHWM"))
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": int(line.split()[1]) / 1024}))


def _foretold(sizes: list[int], values: list[float]) -> float:
    """The last value, by the line through the two before it."""
    slope = (values[-2] - values[-3]) / (sizes[-2] - sizes[-3])
    return values[-2] + slope * (sizes[-1] - sizes[-2])


def main() -> int:
    """Prints the tables; returns 1 if a job is not linear or not flat."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--images", type=int, nargs="+", default=[1000, 4000, 16000, 64000], metavar="N", help="three or more"
    )
    parser.add_argument("--real", type=int, nargs="*", default=[], metavar="N")
    parser.add_argument("--layer", default="mixed10", help="of the real encoder")
    parser.add_argument("--job", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        _run_job(*args.job)
        return 0
    console = Console(width=110)
    good = True
    with tempfile.TemporaryDirectory() as name:
        table = Table("job", "images", "seconds", "CPU s", "peak MiB", "CPU off the line", "peak grew")
        for job in JOBS:
            found = [_measure(job, pathlib.Path(name, str(n)), n) for n in args.images]
            off = found[-1].cpu / _foretold(args.images, [m.cpu for m in found]) - 1
            grown = found[-1].peak / found[1].peak - 1
            good = good and max(off, grown) <= _ALLOWED
            for n, m in zip(args.images, found, strict=True):
                last = [f"{off:+.1%}", f"{grown:+.1%}"] if n == args.images[-1] else []
                table.add_row(job, f"{n:,}", f"{m.seconds:.1f}", f"{m.cpu:.1f}", f"{m.peak:.0f}", *last)
        console.print(table)
        real = EncoderConfig(weights="random", layer=args.layer).to_json()
        for n in args.real:
            folder = pathlib.Path(name, f"real-{n}")
            _measure("import", folder, n)
            m = _measure("features", folder, n, real)
            console.print(
                f"InceptionV3 to {args.layer}: {n} images in {m.seconds:.1f} s, {m.cpu:.1f} s of CPU "
                f"({1000 * m.cpu / n:.0f} ms an image with start-up), peak {m.peak:.0f} MiB"
            )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
