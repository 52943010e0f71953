"""Executor of the CaptionEvaluator: TFX's own, which first looks whether there is a baseline at all."""

from typing import Any

from absl import logging
from tfx import types
from tfx.components.evaluator import executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_component_specs

from components.baseline import in_service


class Executor(executor.Executor):
    """Evaluates the candidate, beside the model in service where there is one."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs TFX's Evaluator, without `baseline_model` where the artifact says that no model is in service.

        Without a baseline TFMA skips the comparisons and keeps the absolute bounds.

        Raises:
          FileNotFoundError: the artifact says that there is a model, and there is none.
        """
        baselines = input_dict.get(standard_component_specs.BASELINE_MODEL_KEY) or []
        if baselines and not _has_model(artifact_utils.get_single_instance(baselines)):
            logging.info("No model is in service: the candidate is judged by the absolute bounds only.")
            input_dict = {
                key: value
                for key, value in input_dict.items()
                if key != standard_component_specs.BASELINE_MODEL_KEY
            }
        super().Do(input_dict, output_dict, exec_properties)


def _has_model(baseline: types.Artifact) -> bool:
    path = in_service.saved_model_dir(baseline.uri)
    present = fileio.exists(f"{path}/{in_service.SAVED_MODEL_FILE}")
    declared = _declared(baseline)
    if declared and not present:
        raise FileNotFoundError(
            f"expected the SavedModel of version {baseline.get_string_custom_property('version')!r} in "
            f"{path}; it is not there. Run the pipeline again to resolve the model in service anew"
        )
    return present and declared is not False


def _declared(baseline: types.Artifact) -> bool | None:
    """Returns what the artifact says of itself; None where it says nothing.

    Kubeflow hands numbers over as doubles, where the local orchestrator keeps integers.
    """
    properties = baseline.mlmd_artifact.custom_properties
    if in_service.HAS_MODEL not in properties:
        return None
    value = properties[in_service.HAS_MODEL]
    return bool(value.int_value or value.double_value)
