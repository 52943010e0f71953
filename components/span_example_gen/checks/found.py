"""What a check found."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Found:
    """What a check found.

    Attributes:
      reasons: to refuse the span, in sentences.
      warnings: that a person should know and that are no reason to refuse it.
      measured: figures behind them, by name.
    """

    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    measured: dict[str, float] = dataclasses.field(default_factory=dict)


def share(part: float, whole: float) -> float:
    """`part` of `whole`; 0 of nothing."""
    return part / whole if whole else 0.0
