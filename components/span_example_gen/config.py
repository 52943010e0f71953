"""Which spans are learned from, and what a new span must be like."""

import dataclasses
from typing import Final

from models.settings import Config, choice, require

WARN: Final = "warn"
REFUSE: Final = "refuse"


@dataclasses.dataclass(frozen=True)
class SpansConfig(Config):
    """The window of spans, and how a new span is judged.

    A span is judged once, when it is new; what is set here later holds for the spans to come.

    Attributes:
      window: how many of the newest accepted spans are learned from; 0: all of them.
      max_unreadable: largest share of a span's images that may not be decodable; they are left out.
      max_known_images: largest share of a span's images that may be known from earlier accepted spans, or be
        repeated in the span itself.
      max_leaked_images: largest share of a span's images that may be in the training data of one span and in
        the eval data of another, or of the same: a model is then judged on what it has learned by heart.
      min_caption_fit: how well the captions must fit their images, as the model in service sees it: 1 is as
        well as in the accepted spans, 0 as badly as captions shuffled among the images; at 0 it is not looked
        at.
      fit_images: images of a span that the model in service is asked about, at most.
      drift_threshold: Jensen-Shannon divergence (0: equal, 1: nothing in common) of a feature's distribution
        in a new span from that in the window, above which it has drifted. What chance alone may make of it
        comes on top.
      on_drift: `warn` accepts a span that has drifted and names what has; `refuse` refuses it.
    """

    window: int = 0
    max_unreadable: float = 0.05
    max_known_images: float = 0.5
    max_leaked_images: float = 0.01
    min_caption_fit: float = 0.33
    fit_images: int = 256
    drift_threshold: float = 0.1
    on_drift: str = WARN

    def __post_init__(self) -> None:
        require(self.window >= 0, f"spans.window must be 0 (all spans) or more; got {self.window}")
        require(self.fit_images > 1, f"spans.fit_images must be 2 or more; got {self.fit_images}")
        for name in (
            "max_unreadable",
            "max_known_images",
            "max_leaked_images",
            "min_caption_fit",
            "drift_threshold",
        ):
            value = getattr(self, name)
            require(0 <= value <= 1, f"spans.{name} must be from 0 to 1; got {value}")
        choice("spans.on_drift", self.on_drift, (WARN, REFUSE))
