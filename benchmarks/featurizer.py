"""The ImageFeaturizer against the bare encoder on the same images, and its memory at N and 4N images.

    python benchmarks/featurizer.py [--images 512] [--layer mixed8] [--rounds 3]

The bare encoder is fed batches of 32 from memory, in one process, and its results are thrown away; the
component reads gzipped TFRecords, hashes and looks up every image, and writes the store and gzipped
TFRecords. Both load the SavedModel within the time taken, and they take turns, so that a busy machine slows
both. The bar is a ratio of 0.85 images/s. Memory is the highest resident size of a fresh process for each
number of images, above that before the run; it must not grow with the images. CPU time an image is printed
too: it hardly changes when other programs compete for the cores.
"""

import argparse
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from models import features, image_encoder, inception
from models.config import EncoderConfig

_BAR = 0.85
_BATCH = 32


def pictures(count: int) -> list[bytes]:
    """Returns JPEGs of about the size of a Flickr photo (60 KB): leaves under sensor-like noise."""
    rng = np.random.default_rng(0)
    scenes = inception.dead_leaves(rng, 8)
    images = []
    for i in range(count):
        scene = (scenes[i % len(scenes)] + 1) * 127.5 + rng.normal(0, 12, scenes[0].shape)
        pixels = tf.image.resize(np.roll(scene, i, axis=1), (375, 500))
        images.append(
            tf.io.encode_jpeg(tf.cast(tf.clip_by_value(pixels, 0, 255), tf.uint8), quality=95).numpy()
        )
    return images


def write_examples(folder: pathlib.Path, images: list[bytes], copies: int = 1) -> None:
    """Writes raw Examples; of further `copies` the bytes differ, so that nothing is found in the store."""
    path = folder / "Split-train"
    path.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(path / "data-00000-of-00001.gz"), "GZIP") as writer:
        for copy in range(copies):
            for i, image in enumerate(images):
                encoded = image + copy.to_bytes(2, "little")  # bytes after a JPEG's end are ignored
                values = {features.IMAGE_ID: f"{copy}-{i}".encode(), features.IMAGE_ENCODED: encoded}
                content = {
                    key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                    for key, value in values.items()
                }
                writer.write(
                    tf.train.Example(features=tf.train.Features(feature=content)).SerializeToString()
                )


class Stopwatch:
    """Seconds since it was made, and seconds of CPU of all threads of this process."""

    def __init__(self) -> None:
        self._start = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self._start[0], time.process_time() - self._start[1]


def run_bare(encoder_path: str, images: list[bytes]) -> tuple[float, float]:
    """Returns seconds and CPU seconds of the bare encoder, loading it included."""
    watch = Stopwatch()
    encoder = tf.saved_model.load(encoder_path)
    for i in range(0, len(images), _BATCH):
        encoder.encode(tf.constant(images[i : i + _BATCH]))[0].numpy()
    return watch.read()


def run_component(config: EncoderConfig, folder: pathlib.Path, store: pathlib.Path) -> tuple[float, float]:
    """Returns seconds and CPU seconds of the component on `folder`; `store` has the encoder already."""
    import apache_beam as beam
    from tfx import v1 as tfx

    from components.image_featurizer import executor

    examples = tfx.types.standard_artifacts.Examples()
    examples.uri = str(folder)
    examples.split_names = json.dumps(["train"])
    examples.set_string_custom_property("payload_format", "FORMAT_TF_EXAMPLE")
    featurized = tfx.types.standard_artifacts.Examples()
    encoder = tfx.types.standard_artifacts.Model()
    with tempfile.TemporaryDirectory() as out:
        for artifact, name in ((featurized, "featurized"), (encoder, "encoder")):
            artifact.uri = os.path.join(out, name)
            os.mkdir(artifact.uri)
        watch = Stopwatch()
        executor.featurize(examples, featurized, encoder, config.to_json(), str(store), beam.Pipeline())
        seconds = watch.read()
    if featurized.get_int_custom_property("images_reused"):
        raise RuntimeError("the store was not empty: this measures nothing")
    return seconds


def new_store(encoder_store: pathlib.Path, path: pathlib.Path) -> pathlib.Path:
    """Copies the store's encoder, without features."""
    shutil.copytree(encoder_store, path, ignore=shutil.ignore_patterns("packs"))
    return path


def memory(config: EncoderConfig, folder: pathlib.Path, store: pathlib.Path) -> tuple[float, float]:
    """Returns peak MiB of a fresh process before and after a run of the component."""
    command = [sys.executable, __file__, "--measure-memory", str(folder), str(store), config.to_json()]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    before, after = json.loads(output.splitlines()[-1])
    return before, after


def _measure_memory(folder: str, store: str, config: str) -> None:
    import components.image_featurizer.executor  # noqa: F401 - imports count as before

    before = _peak_mib()
    run_component(EncoderConfig.from_json(config), pathlib.Path(folder), pathlib.Path(store))
    print(json.dumps([before, _peak_mib()]))


def _peak_mib() -> float:
    """Returns the highest resident size of this program so far (getrusage would count the parent's too)."""
    (line,) = (x for x in pathlib.Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main() -> int:
    """Prints both tables; returns 1 if the ratio is under the bar."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layer", default="mixed8")
    parser.add_argument("--measure-memory", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure_memory:
        _measure_memory(*args.measure_memory)
        return 0
    console = Console()
    config = EncoderConfig(weights="random", layer=args.layer, pooling="grid", grid_size=4)
    images = pictures(args.images)
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        from components.image_featurizer import executor

        encoder_store = root / "encoder"
        store = encoder_store / image_encoder.encoder_fingerprint(config)
        encoder_path = str(root / "model")
        executor.place_encoder(config, str(store), encoder_path)
        write_examples(root / "n", images)
        write_examples(root / "4n", images, copies=4)
        run_bare(encoder_path, images[:_BATCH])  # warm
        times: dict[str, list[tuple[float, float]]] = {"bare": [], "component": []}
        for i in range(args.rounds):
            times["bare"].append(run_bare(encoder_path, images))
            store_path = new_store(encoder_store, root / f"store-{i}")
            times["component"].append(run_component(config, root / "n", store_path))
        ratio = statistics.median(b[0] / c[0] for b, c in zip(*times.values(), strict=True))
        size = sum(map(len, images)) / len(images) / 1024
        console.print(
            f"{args.images} JPEGs of 500x375 ({size:.0f} KB), {args.layer} pooled 4x4, {os.cpu_count()} "
            f"cores, TensorFlow {tf.__version__}, Python {platform.python_version()}"
        )
        rounds = (f"round {i + 1}" for i in range(args.rounds))
        table = Table("images/s", *rounds, "median", "CPU ms an image")
        for name, measured in times.items():
            rates = [args.images / seconds for seconds, _ in measured]
            cpu = statistics.median(1000 * seconds / args.images for _, seconds in measured)
            columns = (f"{value:.1f}" for value in (*rates, statistics.median(rates), cpu))
            table.add_row(name, *columns)
        console.print(table)
        verdict = "meets" if ratio >= _BAR else "IS UNDER"
        console.print(f"component / bare: {ratio:.2f} (median of the rounds), {verdict} the bar of {_BAR}")
        table = Table("images", "before, MiB", "peak, MiB", "difference")
        for name, count in (("n", args.images), ("4n", 4 * args.images)):
            before, after = memory(config, root / name, new_store(encoder_store, root / f"memory-{name}"))
            table.add_row(str(count), f"{before:.0f}", f"{after:.0f}", f"{after - before:.0f}")
        console.print(table)
    return 0 if ratio >= _BAR else 1


if __name__ == "__main__":
    sys.exit(main())
