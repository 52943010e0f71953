"""Reads the artifact that `Baseline` outputs."""

import os
from typing import Any

from tfx.dsl.io import fileio

from components.baseline import in_service
from models.features import VOCABULARY_FILE


def saved_model(baseline: Any) -> str | None:
    """Returns the folder of the baseline's SavedModel; None if nothing is in service.

    Raises:
      FileNotFoundError: the artifact says that it has a model, and has none.
    """
    path = in_service.saved_model_dir(baseline.uri)
    present = fileio.exists(os.path.join(path, in_service.SAVED_MODEL_FILE))
    declared = _declared(baseline)
    if declared and not present:
        raise FileNotFoundError(
            f"expected the SavedModel of version {baseline.get_string_custom_property('version')!r} in "
            f"{path}; it is not there. Run the pipeline again to resolve the model in service anew"
        )
    return path if present and declared is not False else None


def vocabulary(baseline: Any) -> str | None:
    """Returns the path of the vocabulary file, one word a line; None if nothing is in service."""
    path = saved_model(baseline)
    return path and os.path.join(path, VOCABULARY_FILE)


def _declared(baseline: Any) -> bool | None:
    """Returns what the artifact says of itself; None where it says nothing.

    By TFX's own accessors: Kubeflow hands a property over as JSON in a message, which its fields do not show.
    """
    if not baseline.has_custom_property(in_service.HAS_MODEL):
        return None
    return bool(baseline.get_int_custom_property(in_service.HAS_MODEL))
