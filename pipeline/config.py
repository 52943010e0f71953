"""One frozen config for a whole run, composed of the parts' configs; `--set a.b=c` overrides any value."""

import dataclasses
import types
import typing
from typing import Any

from components.span_example_gen.config import SpansConfig
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
class PushConfig(Config):
    """How a good model comes into service.

    Attributes:
      canary: push beside the version in service, on trial, until `captioner promote`. The first version, with
        nothing in service yet, is in service at once.
      keep_versions: newest versions that a push leaves, in service or kept for a rollback, and as many of
        those that were on trial; 0 keeps all. A version in service, on trial or rolled back, and the one that
        the run was compared with, is never removed.
    """

    canary: bool = False
    keep_versions: int = 10

    def __post_init__(self) -> None:
        if self.keep_versions < 0:
            raise ValueError(f"push.keep_versions must be 0 (keep all) or more; got {self.keep_versions}")


@dataclasses.dataclass(frozen=True)
class PipelineConfig(Config):
    """Everything that decides what a run computes, but where its data and results are.

    Attributes:
      name: of the pipeline in ML Metadata.
      spans, encoder, corpus, model, train, decode, gate, validator, push: see their classes.
      beam_args: flags of the Beam pipelines, e.g. `--direct_running_mode=multi_processing`.
    """

    name: str = "captioner"
    spans: SpansConfig = SpansConfig()
    encoder: EncoderConfig = EncoderConfig()
    corpus: CorpusConfig = CorpusConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    decode: DecodeConfig = DecodeConfig()
    gate: GateConfig = GateConfig()
    validator: ValidatorConfig = ValidatorConfig()
    push: PushConfig = PushConfig()
    beam_args: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.model.mirror_regions and self.encoder.pooling != "grid":
            raise ValueError(
                "model.mirror_regions=true needs regions to mirror: set encoder.pooling=grid as well"
            )


def override(config: PipelineConfig, assignments: list[str]) -> PipelineConfig:
    """Applies `part.option=value` texts.

    Raises:
      UserError: a text is not of that form, there is no such option, or the value is not of its type.
    """
    # All together, since some options are only right together.
    parts: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        part, _, option = path.strip().rpartition(".")
        if not equals:
            raise UserError(f"--set takes part.option=value, for example train.epochs=5; got {assignment!r}")
        try:
            parts.setdefault(part, {})[option] = _value(config, part, option, text.strip())
        except ValueError as error:
            raise UserError(f"--set {assignment}: {error}") from error
    try:
        changes = parts.pop("", {})
        changes |= {part: getattr(config, part).replace(**values) for part, values in parts.items()}
        return config.replace(**changes)
    except ValueError as error:
        raise UserError(f"--set: {error}") from error


def _value(config: PipelineConfig, part: str, option: str, text: str) -> Any:
    owner = getattr(config, part, None) if part else config
    if not _is_config(owner):
        groups = [
            field.name for field in dataclasses.fields(config) if _is_config(getattr(config, field.name))
        ]
        raise ValueError(f"there is no group {part!r}; there are: {', '.join(groups)}")
    annotations = typing.get_type_hints(type(owner))
    if option not in annotations:
        raise ValueError(f"{type(owner).__name__} has no option {option!r}; it has: {', '.join(annotations)}")
    group = getattr(owner, option)
    if _is_config(group):
        options = ", ".join(field.name for field in dataclasses.fields(group))
        raise ValueError(f"{option} is a group of options; name one of them: {options}")
    return _parse(text, annotations[option])


def _is_config(value: Any) -> bool:
    return isinstance(value, Config)


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
        element = typing.get_args(annotation)[0]
        return tuple(_parse(word, element) for word in text.split())
    try:
        return annotation(text)
    except ValueError:
        raise ValueError(f"expected {annotation.__name__}, got {text!r}") from None
