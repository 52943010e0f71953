"""What the gate asks of a model, as data."""

import dataclasses
import json
from typing import Any, Final, Self

REFUSE: Final = "refuse"
PASS: Final = "pass"


@dataclasses.dataclass(frozen=True)
class Rule:
    """What one metric must be, over all images or in slices.

    Attributes:
      metric: key of `models.metrics.catalogue.METRICS`.
      higher_is_better: the direction of `bound` and of a loss.
      bound: the least (or, where lower is better, the most) that is accepted; None asks for nothing.
      allowed_loss: how much worse than the model in service is accepted; None compares nothing.
      slice: its name; empty for all images.
      value: of the slice; None: the rule holds for each value there is.
    """

    metric: str
    higher_is_better: bool
    bound: float | None = None
    allowed_loss: float | None = None
    slice: str = ""
    value: str | None = None


@dataclasses.dataclass(frozen=True)
class Gate:
    """The rules, and how a difference from the model in service is told from chance.

    Attributes:
      rules: all must hold. Without a rule nothing passes.
      confidence: of each bound of a difference.
      resamples, seed: of the bootstrap.
      undecided: `refuse` or `pass` a model where there are too few images to tell.
    """

    rules: tuple[Rule, ...]
    confidence: float = 0.95
    resamples: int = 1000
    seed: int = 1
    undecided: str = REFUSE

    def to_json(self) -> str:
        """Returns the gate as JSON, a component's parameter."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Inverse of `to_json`."""
        fields: dict[str, Any] = json.loads(text)
        fields["rules"] = tuple(Rule(**rule) for rule in fields["rules"])
        return cls(**fields)
