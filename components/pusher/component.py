"""AtomicPusher: TFX's Pusher to a file system, where a version appears whole or not at all."""

import json
import os
from typing import Any

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, component_spec, standard_artifacts
from tfx.types import standard_component_specs as keys

from components.baseline import in_service
from components.pusher import executor, places


class AtomicPusherSpec(component_spec.ComponentSpec):
    """TFX's Pusher's, but that all it is told are plain values, which a run of Kubeflow can be given."""

    PARAMETERS = {  # noqa: RUF012
        executor.SERVING_DIR: component_spec.ExecutionParameter(type=str),
        executor.CANARY: component_spec.ExecutionParameter(type=int),
        executor.FORCE: component_spec.ExecutionParameter(type=int),
        executor.ROLLED_BACK: component_spec.ExecutionParameter(type=str),
        executor.KEEP: component_spec.ExecutionParameter(type=int),
        executor.ALONE: component_spec.ExecutionParameter(type=int),
    }
    INPUTS = {  # noqa: RUF012
        keys.MODEL_KEY: component_spec.ChannelParameter(type=standard_artifacts.Model),
        keys.MODEL_BLESSING_KEY: component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        keys.INFRA_BLESSING_KEY: component_spec.ChannelParameter(
            type=standard_artifacts.InfraBlessing, optional=True
        ),
    }
    OUTPUTS = {  # noqa: RUF012
        keys.PUSHED_MODEL_KEY: component_spec.ChannelParameter(type=standard_artifacts.PushedModel)
    }


class AtomicPusher(base_component.BaseComponent):
    """Pushes a model that all blessings bless; outputs `pushed_model`, as TFX's Pusher.

    Args:
      model: channel of the model.
      model_blessing: channel of the Evaluator's blessing.
      serving_dir: the directory with a numbered folder for each version, or a RuntimeParameter.
      infra_blessing: channel of the ServingValidator's; None: it is not asked for.
      canary: push beside the version in service, on trial, if there is one.
      force: push a model even if it is one that was rolled back.
      rolled_back: of `rolled_back`, when the run is planned: part of the cache key, for what was pushed
        before a rollback is looked at again after it.
      keep_versions: after a push, remove versions beyond the newest so many from the folder that it went to,
        but for the one that was in service before; 0 keeps all.
      alone: no other run can push to the same directory meanwhile.
    """

    SPEC_CLASS = AtomicPusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        model: Any,
        model_blessing: Any,
        serving_dir: Any,
        infra_blessing: Any = None,
        canary: bool = False,
        force: bool = False,
        rolled_back: str = "[]",
        keep_versions: int = 0,
        alone: bool = False,
    ):
        super().__init__(
            AtomicPusherSpec(
                model=model,
                model_blessing=model_blessing,
                infra_blessing=infra_blessing,
                pushed_model=channel.Channel(type=standard_artifacts.PushedModel),
                serving_dir=serving_dir,
                canary=int(canary),
                force=int(force),
                rolled_back=rolled_back,
                keep_versions=keep_versions,
                alone=int(alone),
            )
        )


def rolled_back(serving_dir: str) -> str:
    """Returns which models were rolled back, as JSON."""
    aside = places.rolled_back_dir(serving_dir)
    return json.dumps(
        [in_service.identity(os.path.join(aside, version)) for version in in_service.versions(aside)]
    )
