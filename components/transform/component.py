"""CaptionTransform: TFX's Transform, which can begin with the vocabulary of the model in service."""

from typing import Any

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, component_spec, standard_artifacts
from tfx.types import standard_component_specs as keys

from components.transform import executor


class CaptionTransformSpec(component_spec.ComponentSpec):
    """Of TFX's Transform, what is used here; and what ours takes besides."""

    PARAMETERS = {  # noqa: RUF012
        executor.CORPUS: component_spec.ExecutionParameter(type=str),
        executor.CODE_VERSION: component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        keys.EXAMPLES_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        keys.SCHEMA_KEY: component_spec.ChannelParameter(type=standard_artifacts.Schema),
        executor.BASELINE: component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS = {  # noqa: RUF012
        keys.TRANSFORM_GRAPH_KEY: component_spec.ChannelParameter(type=standard_artifacts.TransformGraph),
        keys.TRANSFORMED_EXAMPLES_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }


class CaptionTransform(base_beam_component.BaseBeamComponent):
    """Captions -> ids over the vocabulary, by `models.preprocessing`; outputs are those of TFX's Transform.

    No statistics, which double its time: those of the raw data are another node's.

    Args:
      examples: channel of featurized Examples.
      schema: channel of their schema.
      corpus: JSON of `models.config.CorpusConfig`, or a RuntimeParameter.
      baseline: channel of `Baseline`'s output, whose vocabulary is grown or frozen; None where it is rebuilt
        whatever is in service. (With it, another model in service is another input, and nothing is cached.)
      code_version: changes when code that matters does; only tells TFX's cache.
    """

    SPEC_CLASS = CaptionTransformSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(self, examples: Any, schema: Any, corpus: Any, baseline: Any = None, code_version: str = ""):
        transformed = channel.Channel(type=standard_artifacts.Examples)
        transformed.matching_channel_name = keys.EXAMPLES_KEY  # the same splits
        super().__init__(
            CaptionTransformSpec(
                examples=examples,
                schema=schema,
                corpus=corpus,
                baseline=baseline,
                code_version=code_version,
                transform_graph=channel.Channel(type=standard_artifacts.TransformGraph),
                transformed_examples=transformed,
            )
        )
