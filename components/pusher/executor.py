"""Executor of the AtomicPusher."""

import os
from typing import Any, Final

from absl import logging
from tfx import types
from tfx.components.pusher import executor
from tfx.dsl.io import fileio
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils

from components.baseline import in_service
from components.pusher import moving, places

# Parameters.
SERVING_DIR: Final = "serving_dir"
CANARY: Final = "canary"
FORCE: Final = "force"
ROLLED_BACK: Final = "rolled_back"
KEEP: Final = "keep_versions"
ALONE: Final = "alone"

# Custom properties of the PushedModel artifact; the first three are TFX's.
PUSHED: Final = "pushed"
DESTINATION: Final = "pushed_destination"
VERSION: Final = "pushed_version"
BEFORE: Final = "pushed_before"  # 1: this very model was there already, as that version
ROLLED_BACK_VERSION: Final = "rolled_back_version"  # not pushed, because it is the model of this version


class Executor(executor.Executor):
    """Lets TFX push into a folder aside, then renames the version into place.

    TFX copies straight into the version's folder, where a kill leaves part of a model, which a server tries
    to load again and again.

    A model is known by its content. The one in service, or on trial, is not pushed a second time; one that
    was rolled back is not pushed again unless it is forced.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes the model if it is blessed."""
        directory = exec_properties[SERVING_DIR]
        pushed = artifact_utils.get_single_instance(output_dict[standard_component_specs.PUSHED_MODEL_KEY])
        aside = moving.aside(directory, bool(exec_properties[ALONE]))
        if self.CheckBlessing(input_dict):
            content = in_service.digest(self.GetModelPath(input_dict))
            if _is_known(content, directory, bool(exec_properties[FORCE]), pushed):
                return
        filesystem = pusher_pb2.PushDestination.Filesystem(base_directory=aside)
        destination = proto_utils.proto_to_json(pusher_pb2.PushDestination(filesystem=filesystem))
        super().Do(input_dict, output_dict, {standard_component_specs.PUSH_DESTINATION_KEY: destination})
        if not fileio.exists(aside):
            return  # not blessed
        (made,) = (name.rstrip("/") for name in fileio.listdir(aside))
        version = _next(int(made), directory)
        before = in_service.newest_version(directory)
        place = directory
        if exec_properties[CANARY] and before is not None:
            place = places.canary_dir(directory)
            fileio.makedirs(place)
        target = os.path.join(place, version)
        moving.into_place(os.path.join(aside, made), target)
        fileio.rmtree(aside)
        _mark(pushed, target)
        if removed := moving.remove_old(place, exec_properties[KEEP], spared=(before,)):
            logging.info("Versions removed from %s: %s.", place, ", ".join(removed))


def answering(content: str, directory: str) -> str | None:
    """Returns the folder of the version in service, or on trial, with the digest `content`; else None."""
    for place in (directory, places.canary_dir(directory)):
        version = in_service.newest_version(place)
        if version is not None and in_service.digest(os.path.join(place, version)) == content:
            return os.path.join(place, version)
    return None


def _is_known(content: str, directory: str, force: bool, pushed: types.Artifact) -> bool:
    """Whether there is nothing to push, because it was pushed before; then marks `pushed` so."""
    if (target := answering(content, directory)) is not None:
        logging.info("The model is in %s already.", target)
        _mark(pushed, target)
        pushed.set_int_custom_property(BEFORE, 1)
        return True
    if force:
        return False
    folder = places.rolled_back_dir(directory)
    for version in in_service.versions(folder):
        if in_service.digest(os.path.join(folder, version)) == content:
            logging.info("Not pushed: the model is version %s, which was rolled back.", version)
            pushed.set_int_custom_property(PUSHED, 0)
            pushed.set_string_custom_property(ROLLED_BACK_VERSION, version)
            return True
    return False


def _next(version: int, directory: str) -> str:
    """`version`, or the first number above all versions: a clock set back must not hide a new model."""
    folders = (directory, places.canary_dir(directory), places.rolled_back_dir(directory))
    newest = max((int(found) for folder in folders for found in in_service.versions(folder)), default=0)
    return str(max(version, newest + 1))


def _mark(pushed: types.Artifact, target: str) -> None:
    pushed.set_int_custom_property(PUSHED, 1)
    pushed.set_string_custom_property(DESTINATION, target)
    pushed.set_string_custom_property(VERSION, os.path.basename(target))
