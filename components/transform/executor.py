"""Executor of CaptionTransform: TFX's, told what to do by our own inputs and parameters."""

import os
from typing import Any, Final

from tfx import types
from tfx.components.transform import executor
from tfx.dsl.io import fileio
from tfx.types import standard_component_specs as keys
from tfx.utils import json_utils

from components.baseline import reading

BASELINE: Final = "baseline"
CORPUS: Final = "corpus"
CODE_VERSION: Final = "code_version"

_PREPROCESSING_FN: Final = "models.preprocessing.preprocessing_fn"


def _remove_outputs(transformed: list[types.Artifact]) -> None:
    """Removes what a killed attempt left: the next may have the same folder, and readers take all in it."""
    for artifact in transformed:
        if fileio.exists(artifact.uri):
            for name in fileio.listdir(artifact.uri):
                fileio.rmtree(os.path.join(artifact.uri, name.rstrip("/")))


class Executor(executor.Executor):
    """Runs TFX's Transform with `models.preprocessing`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See `component.CaptionTransform`. Raises what TFX's does."""
        _remove_outputs(output_dict[keys.TRANSFORMED_EXAMPLES_KEY])
        known = [reading.vocabulary(baseline) for baseline in input_dict.get(BASELINE, [])]
        custom = {"corpus": exec_properties[CORPUS], "vocabulary": next(iter(known), None) or ""}
        super().Do(
            {key: value for key, value in input_dict.items() if key != BASELINE},
            output_dict,
            {
                keys.PREPROCESSING_FN_KEY: _PREPROCESSING_FN,
                keys.CUSTOM_CONFIG_KEY: json_utils.dumps(custom),
                keys.DISABLE_STATISTICS_KEY: 1,
                keys.FORCE_TF_COMPAT_V1_KEY: 0,
            },
        )
