"""Executor of the AtomicPusher."""

import os
from typing import Any

from tfx import types
from tfx.components.pusher import executor
from tfx.dsl.io import fileio
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils

_DESTINATION = "pushed_destination"


class Executor(executor.Executor):
    """Lets TFX push into a folder aside, then renames the version into place.

    TFX copies straight into the version's folder, where a kill leaves part of a model, which a server tries
    to load again and again.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes the model if it is blessed. Raises ValueError for a destination that is no file system."""
        destination = pusher_pb2.PushDestination()
        proto_utils.json_to_proto(exec_properties[standard_component_specs.PUSH_DESTINATION_KEY], destination)
        if destination.WhichOneof("destination") != "filesystem":
            raise ValueError("expected a push destination on a file system; set push_destination.filesystem")
        directory = destination.filesystem.base_directory
        # Not a number, so that no server takes it for a version.
        aside = os.path.join(directory, ".pushing")
        if fileio.exists(aside):
            fileio.rmtree(aside)  # what a killed push left
        destination.filesystem.base_directory = aside
        super().Do(
            input_dict,
            output_dict,
            exec_properties
            | {standard_component_specs.PUSH_DESTINATION_KEY: proto_utils.proto_to_json(destination)},
        )
        if not fileio.exists(aside):
            return  # not blessed
        (version,) = (name.rstrip("/") for name in fileio.listdir(aside))
        target = os.path.join(directory, version)
        fileio.rename(os.path.join(aside, version), target)
        fileio.rmtree(aside)
        pushed = artifact_utils.get_single_instance(output_dict[standard_component_specs.PUSHED_MODEL_KEY])
        pushed.set_string_custom_property(_DESTINATION, target)
