"""What the ImageFeaturizer does: encoder in place, Beam pipeline over the splits, counts on the artifacts."""

import contextlib
import dataclasses
import json
import os
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import apache_beam as beam
from absl import logging
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import DirectOptions
from apache_beam.runners.direct.direct_runner import SwitchingDirectRunner
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.utils import shared
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.image_featurizer import feature_store, progress
from components.image_featurizer.featurize_fn import (
    COMPUTED,
    COUNTERS,
    FAILED,
    NAMESPACE,
    REUSED,
    FeaturizeFn,
)
from models import encoder_identity, image_encoder
from models.config import EncoderConfig

REJECTED = "rejected.jsonl"
_FLOAT16_BYTES = 2
_FILE_BYTES = 32 * 2**20
_OTHER_BYTES = 1024  # of an Example, captions and names
_COPIED_PROPERTIES = ("span", "version", "payload_format", "file_format")


def featurize(
    examples: types.Artifact,
    featurized: types.Artifact,
    encoder: types.Artifact,
    encoder_config: str,
    store_dir: str,
    beam_pipeline: beam.Pipeline,
) -> None:
    """See `component.ImageFeaturizer`."""
    _require_formats(examples)
    config = EncoderConfig.from_json(encoder_config)
    fingerprint = image_encoder.encoder_fingerprint(config)
    store = os.path.join(store_dir, fingerprint)
    encoder_path = path_utils.serving_model_path(encoder.uri)
    regions, width = place_encoder(config, store, encoder_path)
    encoder_identity.write(encoder_path, fingerprint)
    packs = os.path.join(store, "packs")
    feature_store.remove_abandoned(packs)

    featurized.split_names = examples.split_names
    splits = artifact_utils.decode_split_names(examples.split_names)
    patterns = {split: examples_utils.get_split_file_patterns([examples], split)[0] for split in splits}
    rows = _Rows(encoder_path, packs, regions * width * _FLOAT16_BYTES)
    here = _use_this_process(beam_pipeline)
    with progress.shown(_total_bytes(patterns.values())) if here else contextlib.nullcontext():
        result = _run(patterns, featurized, rows, beam_pipeline)
    _report(_counts(result), splits, featurized)
    _copy_properties(examples, featurized)
    featurized.set_string_custom_property("encoder_fingerprint", fingerprint)
    encoder.set_string_custom_property("encoder_fingerprint", fingerprint)
    encoder.set_int_custom_property("regions", regions)
    encoder.set_int_custom_property("width", width)


@dataclasses.dataclass(frozen=True)
class _Rows:
    """Where features come from: the encoder, the store's packs, and the size of a row in bytes."""

    encoder_path: str
    packs: str
    row_bytes: int


def _run(patterns: Mapping[str, str], featurized: types.Artifact, rows: _Rows, given: beam.Pipeline) -> Any:
    """Runs the job until it succeeds, or fails without having computed anything new; returns its result.

    What a killed worker had computed is in the store, so another attempt costs only what it had under way.
    Engines that retry by themselves rarely come to this; the others end a job when one of its workers dies.
    """
    while True:
        before = _packs(rows)
        _remove_outputs(patterns, featurized)
        # A pipeline of its own: what an attempt's workers know of the store is as old as the attempt.
        attempt = beam.Pipeline(runner=given.runner, options=given.options)
        _build(attempt, patterns, featurized, rows)
        try:
            result = attempt.run()
            result.wait_until_finish()
            return result
        except Exception as error:
            if _packs(rows) == before:
                raise
            logging.warning("The featurizer's job failed; going on behind what it has computed: %s", error)


def _build(
    pipeline: beam.Pipeline, patterns: Mapping[str, str], featurized: types.Artifact, rows: _Rows
) -> None:
    handle = shared.Shared()
    failed = []
    for split, pattern in patterns.items():
        fn = FeaturizeFn(split, rows.encoder_path, rows.packs, rows.row_bytes, handle)
        # No transform between reading and writing may need all images at once: Beam's direct runner
        # holds what passes between stages (GroupByKey, Flatten, Reshuffle) in memory.
        outputs = (
            pipeline
            | f"Read[{split}]" >> beam.io.ReadFromTFRecord(pattern)
            | f"Featurize[{split}]" >> beam.ParDo(fn).with_outputs(FAILED, main="features")
        )
        target = os.path.join(artifact_utils.get_split_uri([featurized], split), "data_tfrecord")
        _ = outputs["features"] | f"Write[{split}]" >> _write(target, rows.row_bytes)
        failed.append(outputs[FAILED])
    _ = (
        tuple(failed)
        | "AllFailed" >> beam.Flatten()
        | "WriteFailed" >> beam.io.WriteToText(os.path.join(featurized.uri, REJECTED), shard_name_template="")
    )


def _write(target: str, row_bytes: int) -> beam.PTransform:
    """Writes Examples to files of some 32 MiB.

    Beam's direct runner has one bundle, so it would write one file. Several workers could not
    share it, and Beam unpacks 16 MiB of a file at once, which is all of it where features are much alike.
    """
    write = beam.io.WriteToTFRecord(target, file_name_suffix=".gz")
    # Every file-based sink of Beam has this bound; WriteToTFRecord has no argument for it.
    write._sink.max_records_per_shard = max(1, _FILE_BYTES // (row_bytes + _OTHER_BYTES))
    return write


def _packs(rows: _Rows) -> set[str]:
    return set(fileio.glob(os.path.join(rows.packs, "*.pack")))


def _remove_outputs(splits: Iterable[str], featurized: types.Artifact) -> None:
    """Removes what an attempt left that was killed: an orchestrator may give the next one the same folder."""
    places = [artifact_utils.get_split_uri([featurized], split) for split in splits]
    for place in (*places, *fileio.glob(os.path.join(featurized.uri, "beam-temp-*"))):
        if fileio.exists(place):
            fileio.rmtree(place)


def place_encoder(config: EncoderConfig, store: str, path: str) -> tuple[int, int]:
    """Copies the store's encoder to `path`; builds it if the store has none yet.

    A store's features and the encoder that computed them lie side by side, so that the encoder which is
    served is the very one, to the last bit, whatever machine builds next.

    Returns:
      `(R, D)` of its features.
    """
    note = os.path.join(store, "encoder.json")  # written last: what it names is complete
    if not fileio.exists(note):
        name = f"encoder-{uuid.uuid4().hex}"
        shape = image_encoder.save_encoder(config, os.path.join(store, name))
        content = {"encoder": name, "shape": shape, "config": json.loads(config.to_json())}
        unfinished = os.path.join(store, f"{name}.json")
        io_utils.write_string_file(unfinished, json.dumps(content, indent=2) + "\n")
        fileio.rename(unfinished, note, overwrite=True)
    with fileio.open(note) as file:
        content = json.loads(file.read())
    io_utils.copy_dir(os.path.join(store, content["encoder"]), path)
    regions, width = content["shape"]
    return regions, width


def _require_formats(examples: types.Artifact) -> None:
    payload = examples_utils.get_payload_format(examples)
    file_format = examples_utils.get_file_format(examples)
    if payload != example_gen_pb2.FORMAT_TF_EXAMPLE or file_format != "tfrecords_gzip":
        raise ValueError(
            "ImageFeaturizer reads tf.Examples in gzipped TFRecords (FORMAT_TF_EXAMPLE, tfrecords_gzip); got "
            f"{example_gen_pb2.PayloadFormat.Name(payload)}, {file_format} in {examples.uri}. "
            "Set the ExampleGen's output_config accordingly."
        )


def _use_this_process(pipeline: beam.Pipeline) -> bool:
    """Keeps Beam's direct runner in this process, and tells whether its workers are, too.

    DirectRunner first tries Prism, a program of its own that Beam downloads; the images would then pass
    through gRPC, and a machine without network waits for the failure.
    """
    if isinstance(pipeline.runner, SwitchingDirectRunner):
        pipeline.runner = FnApiRunner()
    mode = pipeline.options.view_as(DirectOptions).direct_running_mode
    return isinstance(pipeline.runner, FnApiRunner) and mode == "in_memory"


def _total_bytes(patterns: Iterable[str]) -> int:
    """Returns the size of all records without reading them: gzip's last four bytes tell it (mod 2 ** 32).

    It opens every file, so it is not for data that takes a cluster.
    """
    total = 0
    for match in FileSystems.match(list(patterns)):
        for file in match.metadata_list:
            with FileSystems.open(file.path, compression_type=CompressionTypes.UNCOMPRESSED) as content:
                content.seek(-4, os.SEEK_END)
                expanded = int.from_bytes(content.read(4), "little")
            total += max(
                expanded, file.size_in_bytes
            )  # a file past 4 GiB: its packed size, as JPEGs hardly shrink
    return max(total, 1)


def _counts(result: Any) -> dict[str, int]:
    """Returns the counters `computed/train` and so on."""
    query = beam.metrics.MetricsFilter().with_namespace(NAMESPACE)
    return {c.key.metric.name: c.result for c in result.metrics().query(query)["counters"]}


def _report(counts: dict[str, int], splits: list[str], featurized: types.Artifact) -> None:
    for split in splits:
        if not counts.get(f"{COMPUTED}/{split}", 0) + counts.get(f"{REUSED}/{split}", 0):
            failed = counts.get(f"{FAILED}/{split}", 0)
            raise ValueError(
                f"Split {split!r} has no image that can be decoded ({failed} failed; see "
                f"{os.path.join(featurized.uri, REJECTED)}). Check the imported data."
            )
    totals = {name: sum(counts.get(f"{name}/{split}", 0) for split in splits) for name in COUNTERS}
    logging.info("Image features: %s", ", ".join(f"{count} {name}" for name, count in totals.items()))
    for name, count in totals.items():
        featurized.set_int_custom_property(f"images_{name}", count)


def _copy_properties(source: types.Artifact, target: types.Artifact) -> None:
    """Copies what TFX knows of Examples; it looks for the span in the properties and the custom ones."""
    for name in _COPIED_PROPERTIES:
        for kind in ("properties", "custom_properties"):
            values = getattr(source.mlmd_artifact, kind)
            if name in values:
                getattr(target.mlmd_artifact, kind)[name].CopyFrom(values[name])
    if "payload_format" not in target.mlmd_artifact.custom_properties:
        examples_utils.set_payload_format(target, examples_utils.get_payload_format(source))
    if "file_format" not in target.mlmd_artifact.custom_properties:
        examples_utils.set_file_format(target, examples_utils.get_file_format(source))
