"""The runs of a comparison: every decoder, preset, representation and seed, checked before any starts."""

import dataclasses
from collections.abc import Sequence
from typing import Final

from models.config import DECODER_NAMES, ModelConfig
from pipeline.config import PipelineConfig, override
from pipeline.errors import UserError

_CHOSEN_BY: Final = {
    "model.decoder": "--decoders",
    "model.preset": "--presets",
    "model.input_representation": "--representations",
    "model.output_representation": "--representations",
}


@dataclasses.dataclass(frozen=True)
class Contender:
    """What is compared: a decoder in the shapes of a preset, with its word representations."""

    decoder: str
    preset: str
    input_representation: str
    output_representation: str

    @property
    def name(self) -> str:
        """E.g. `gru hybrid`, `gru talk2017 hybrid:one_hot`."""
        representations = dict.fromkeys((self.input_representation, self.output_representation))
        preset = () if self.preset == "default" else (self.preset,)
        return " ".join((self.decoder, *preset, ":".join(representations)))


@dataclasses.dataclass(frozen=True)
class Run:
    """One training: its contender, its seed and the whole config."""

    contender: Contender
    seed: int
    config: PipelineConfig


def plan(
    config: PipelineConfig,
    assignments: Sequence[str],
    decoders: str,
    representations: str,
    presets: str,
    seeds: int,
) -> list[Run]:
    """Returns the runs, all contenders with the first seed before any with the second.

    A decoder and preset other than the config's own takes its preset's shapes, not those that the config
    chose for its own. `--set model.` options hold for all.

    Args:
      config: the named config.
      assignments: `--set` overrides.
      decoders: names with commas between, or `all`.
      representations: `both` or `input:output`, with commas between; empty for the config's.
      presets: names with commas between; empty for the config's.
      seeds: trainings of each contender, with seeds from `train.seed` on.

    Raises:
      UserError: something unknown or contradictory is asked for.
    """
    if seeds < 1:
        raise UserError(f"--seeds takes a number from 1; got {seeds}")
    for assignment in assignments:
        option = assignment.partition("=")[0].strip()
        if option in _CHOSEN_BY:
            raise UserError(
                f"--set {option} contradicts the comparison, whose choice it is; give {_CHOSEN_BY[option]}"
            )
    model = config.model
    pairs = (
        [_pair(text) for text in _names("--representations", representations)]
        if representations
        else [(model.input_representation, model.output_representation)]
    )
    contenders = [
        Contender(decoder, preset, *pair)
        for preset in (_names("--presets", presets) if presets else [model.preset])
        for decoder in (DECODER_NAMES if decoders == "all" else _names("--decoders", decoders))
        for pair in dict.fromkeys(pairs)
    ]
    configs = [_config(config, contender, assignments) for contender in contenders]
    return [
        Run(contender, seed, own.replace(train=own.train.replace(seed=seed)))
        for offset in range(seeds)
        for contender, own in zip(contenders, configs, strict=True)
        for seed in [own.train.seed + offset]
    ]


def _config(config: PipelineConfig, contender: Contender, assignments: Sequence[str]) -> PipelineConfig:
    chosen = [
        f"model.{field.name}={getattr(contender, field.name)}" for field in dataclasses.fields(contender)
    ]
    shapes: list[str] = []
    if (contender.decoder, contender.preset) != (config.model.decoder, config.model.preset):
        # None stands for the preset's own value.
        shapes = [
            f"model.{field.name}=none" for field in dataclasses.fields(ModelConfig) if field.default is None
        ]
    try:
        # All at once: some options are only right together.
        return override(config, [*shapes, *assignments, *chosen])
    except UserError as error:
        raise UserError(f"{contender.name}: {error}") from error


def _names(flag: str, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise UserError(f"{flag} takes names with commas between; got {text!r}")
    return list(dict.fromkeys(names))


def _pair(text: str) -> tuple[str, str]:
    """`hybrid` -> both; `hybrid:one_hot` -> input and output."""
    words, _, logits = text.partition(":")
    return words, logits or words
