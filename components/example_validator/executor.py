"""Executor of the StrictExampleValidator: writes the anomalies as TFX does, then raises if there are any."""

from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.components.example_validator import executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_component_specs


class Executor(executor.Executor):
    """TFX's ExampleValidator reports anomalies and lets the run go on; bad data would then be trained on."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Validates every split. Raises ValueError with a sentence for each anomaly."""
        super().Do(input_dict, output_dict, exec_properties)
        artifact = artifact_utils.get_single_instance(output_dict[standard_component_specs.ANOMALIES_KEY])
        sentences = [
            sentence
            for split in artifact_utils.decode_split_names(artifact.split_names)
            for sentence in describe(f"{artifact.uri}/Split-{split}/SchemaDiff.pb", split)
        ]
        if sentences:
            raise ValueError(
                "the data does not fit the schema: " + "; ".join(sentences) + ". Import the data again, or "
                "correct the schema if the data is right"
            )


def describe(path: str, split: str) -> list[str]:
    """A sentence an anomaly of a split: the feature, what was expected and what was found."""
    with fileio.open(path, "rb") as file:
        anomalies = anomalies_pb2.Anomalies.FromString(file.read())
    sentences = [
        f"feature {name!r} of split {split!r}: {info.description.strip().rstrip('.')}"
        for name, info in sorted(anomalies.anomaly_info.items())
    ]
    if anomalies.HasField("dataset_anomaly_info"):
        sentences.append(f"split {split!r}: {anomalies.dataset_anomaly_info.description.strip().rstrip('.')}")
    if anomalies.data_missing:
        sentences.append(f"split {split!r} holds no examples")
    return sentences
