"""Baseline: the model in service as an artifact, on every orchestrator."""

import os

from absl import logging
from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio
from tfx.types import standard_artifacts

from components.baseline import in_service as service


@component
def Baseline(
    baseline: OutputArtifact[standard_artifacts.Model],
    serving_dir: Parameter[str],
    in_service: Parameter[str] = service.NEWEST,
) -> None:
    """Outputs a copy of the model in service, or an artifact that says there is none.

    The artifact's custom properties are `has_model` (1 or 0) and `version`. The copy stays whole when the
    serving directory is cleaned up.

    Args:
      baseline: the Model artifact to write.
      serving_dir: the directory with a numbered folder for each version.
      in_service: `in_service.identify(serving_dir)`, taken when the run is planned, so that a cached answer
        is used as long as the same model is in service and no longer. `newest` looks when the component runs,
        which is right only where nothing is cached.
    """
    version = service.resolve(serving_dir, in_service)
    baseline.set_int_custom_property(service.HAS_MODEL, int(version is not None))
    baseline.set_string_custom_property(service.VERSION, version or "")
    if version is None:
        logging.info("No model is in service in %s.", serving_dir)
        return
    source = os.path.join(serving_dir, version)
    _copy_tree(source, service.saved_model_dir(baseline.uri))
    logging.info("The baseline is version %s of %s.", version, serving_dir)


def _copy_tree(source: str, target: str) -> None:
    """Copies a folder over any file systems; on one local file system by hard links, which takes no room."""
    for folder, _, files in fileio.walk(source):
        to_folder = os.path.join(target, os.path.relpath(folder, source)).removesuffix("/.")
        fileio.makedirs(to_folder)
        for name in files:
            from_file, to_file = os.path.join(folder, name), os.path.join(to_folder, name)
            try:
                os.link(from_file, to_file)
            except OSError:
                fileio.copy(from_file, to_file, overwrite=True)
