"""One frozen config for a whole run, composed of the parts' configs; `--set a.b=c` overrides any value."""

import dataclasses
import types
import typing
from typing import Any

from models.config import Config, CorpusConfig, DecodeConfig, EncoderConfig, ModelConfig, TrainConfig
from pipeline.errors import UserError
from pipeline.eval_config import GateConfig


@dataclasses.dataclass(frozen=True)
class ValidatorConfig(Config):
    """The ServingValidator's trial of a candidate.

    Attributes:
      images: eval images asked for captions over gRPC.
      timeout_s: longest wait for the server to be ready, in seconds.
    """

    images: int = 16
    timeout_s: float = 300.0


@dataclasses.dataclass(frozen=True)
class PipelineConfig(Config):
    """Everything that decides what a run computes, but where its data and results are.

    Attributes:
      name: of the pipeline in ML Metadata.
      encoder, corpus, model, train, decode, gate, validator: see their classes.
      beam_args: flags of the Beam pipelines, e.g. `--direct_num_workers=2`.
    """

    name: str = "captioner"
    encoder: EncoderConfig = EncoderConfig()
    corpus: CorpusConfig = CorpusConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    decode: DecodeConfig = DecodeConfig()
    gate: GateConfig = GateConfig()
    validator: ValidatorConfig = ValidatorConfig()
    beam_args: tuple[str, ...] = ()


def override(config: PipelineConfig, assignments: list[str]) -> PipelineConfig:
    """Applies `part.option=value` texts.

    Raises:
      UserError: a text is not of that form, there is no such option, or the value is not of its type.
    """
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise UserError(f"--set takes part.option=value, for example train.epochs=5; got {assignment!r}")
        try:
            config = _set(config, path.strip().split("."), text.strip())
        except ValueError as error:
            raise UserError(f"--set {assignment}: {error}") from error
    return config


def _set(config: Any, path: list[str], text: str) -> Any:
    key, *rest = path
    if not rest:
        annotation = typing.get_type_hints(type(config)).get(key, str)
        if dataclasses.is_dataclass(annotation):
            raise ValueError(
                f"{key} is a group of options; name one of them: {_options(getattr(config, key))}"
            )
        return config.replace(**{key: _parse(text, annotation)})
    part = getattr(config, key, None)
    if not dataclasses.is_dataclass(part):
        raise ValueError(f"there is no group {key!r}; there are: {_options(config)}")
    return config.replace(**{key: _set(part, rest, text)})


def _parse(text: str, annotation: Any) -> Any:
    if isinstance(annotation, types.UnionType):  # only `X | None` is used
        if text.lower() == "none":
            return None
        (annotation,) = (arg for arg in typing.get_args(annotation) if arg is not types.NoneType)
    if annotation is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"expected true or false, got {text!r}")
        return text.lower() == "true"
    if typing.get_origin(annotation) is tuple:
        return tuple(text.split())
    try:
        return annotation(text)
    except ValueError:
        raise ValueError(f"expected {annotation.__name__}, got {text!r}") from None
