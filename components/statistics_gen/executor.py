"""Executor of CaptionStatisticsGen: TFDV's statistics of Examples without the bytes of their images.

TFX's own executor batches whole records: with images in them, memory grows with the data. The schema asks for
nothing of an image but that it is there, so its bytes are left out as records are read. And how many captions
or names are unlike each other is estimated (TFDV's sketches): to count them, each would be shuffled.
"""

import os
from typing import Any, Final

import apache_beam as beam
import tensorflow as tf
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import types
from tfx.components.statistics_gen.executor import DEFAULT_FILE_NAME
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils
from tfx.types import standard_component_specs as keys
from tfx.utils import io_utils
from tfx_bsl.tfxio import tf_example_record

from models import features

CODE_VERSION: Final = "code_version"

_TELEMETRY: Final = ["StatisticsGen"]


def leave_out_images(example: tf.train.Example) -> None:
    """Empties the images of an Example; the feature, and how many it has, stay."""
    feature = example.features.feature
    if features.IMAGE_ENCODED in feature:
        images = feature[features.IMAGE_ENCODED].bytes_list
        images.value[:] = [b"" for _ in images.value]


def options(schema: schema_pb2.Schema) -> tfdv.StatsOptions:
    """Of statistics whose memory does not grow with the data."""
    return tfdv.StatsOptions(schema=schema, use_sketch_based_topk_uniques=True)


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes `Split-NAME/FeatureStats.pb` of every split."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Reads `examples`, gzipped TFRecords, and `schema`; writes `statistics`."""
        self._log_startup(input_dict, output_dict, exec_properties)
        examples = artifact_utils.get_single_instance(input_dict[keys.EXAMPLES_KEY])
        statistics = artifact_utils.get_single_instance(output_dict[keys.STATISTICS_KEY])
        statistics.split_names = examples.split_names
        statistics.span = examples.span
        folder = artifact_utils.get_single_uri(input_dict[keys.SCHEMA_KEY])
        schema = io_utils.parse_pbtxt_file(io_utils.get_only_uri_in_dir(folder), schema_pb2.Schema())
        with self._make_beam_pipeline() as pipeline:
            for split in artifact_utils.decode_split_names(examples.split_names):
                shards = os.path.join(artifact_utils.get_split_uri([examples], split), "*.gz")
                target = artifact_utils.get_split_uri([statistics], split)
                _ = pipeline | split >> _Statistics(shards, schema, os.path.join(target, DEFAULT_FILE_NAME))


class _Statistics(beam.PTransform):
    """Pattern of shards -> statistics in a file."""

    def __init__(self, shards: str, schema: schema_pb2.Schema, path: str):
        super().__init__()
        self._shards = shards
        self._schema = schema
        self._path = path

    def expand(self, pipeline: beam.Pipeline) -> Any:
        source = tf_example_record.TFExampleBeamRecord(
            physical_format="inmem", telemetry_descriptors=_TELEMETRY
        )
        return (
            pipeline
            | "Read" >> beam.io.ReadFromTFRecord(self._shards)
            | "LeaveOutImages" >> beam.Map(_without_images)
            | "Decode" >> source.BeamSource()
            | "Statistics" >> tfdv.GenerateStatistics(options(self._schema))
            | "Keep" >> tfdv.WriteStatisticsToBinaryFile(self._path)
        )


def _without_images(record: bytes) -> bytes:
    example = tf.train.Example.FromString(record)
    leave_out_images(example)
    return example.SerializeToString(deterministic=True)
