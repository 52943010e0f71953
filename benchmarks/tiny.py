"""The smallest pipeline that learns something: the demo's, with an early layer of a random encoder."""

from collections.abc import Sequence

from pipeline import configs_by_name
from pipeline.config import PipelineConfig, override

SETTINGS = (
    "encoder.weights=random",
    "encoder.layer=mixed0",
    "corpus.word_vectors=none",
    "corpus.min_images=2",
    "model.width=64",
    "model.embedding_width=32",
    "model.image_width=64",
    "model.dropout=0.1",
    "train.epochs=12",
    "train.patience=0",
    "train.batch_size=64",
    "train.learning_rate=0.01",
    "validator.images=4",
)


def config(settings: Sequence[str] = ()) -> PipelineConfig:
    """Returns the config, with `settings` over it."""
    return override(configs_by_name.load("demo"), [*SETTINGS, *settings])
