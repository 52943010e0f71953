"""CaptionStatisticsGen: TFX's StatisticsGen, whose memory does not grow with the images."""

from typing import Any

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, component_spec, standard_artifacts
from tfx.types import standard_component_specs as keys

from components.statistics_gen import executor


class CaptionStatisticsGenSpec(component_spec.ComponentSpec):
    """Of TFX's StatisticsGen, what is used here."""

    PARAMETERS = {  # noqa: RUF012
        executor.CODE_VERSION: component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        keys.EXAMPLES_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        keys.SCHEMA_KEY: component_spec.ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS = {  # noqa: RUF012
        keys.STATISTICS_KEY: component_spec.ChannelParameter(type=standard_artifacts.ExampleStatistics),
    }


class CaptionStatisticsGen(base_beam_component.BaseBeamComponent):
    """Statistics of each split of raw Examples, in which an image is present but empty.

    Args:
      examples: channel of raw Examples.
      schema: channel of their schema.
      code_version: changes when code that matters does; only tells TFX's cache.

    Outputs `statistics`, in the files of TFX's StatisticsGen.
    """

    SPEC_CLASS = CaptionStatisticsGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(self, examples: Any, schema: Any, code_version: str = ""):
        super().__init__(
            CaptionStatisticsGenSpec(
                examples=examples,
                schema=schema,
                code_version=code_version,
                statistics=channel.Channel(type=standard_artifacts.ExampleStatistics),
            )
        )
