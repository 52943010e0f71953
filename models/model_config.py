"""Settings of the captioner: any decoder with any word representations, and two presets of each decoder."""

import dataclasses
from typing import Any

from models.settings import Config, choice, require


@dataclasses.dataclass(frozen=True)
class ModelConfig(Config):
    """The captioner: image projection, word representations, decoder.

    An option that is None has the value of the preset; `resolve` fills them in.

    Attributes:
      decoder: key of `models.decoders.DECODERS`.
      preset: `default`, the modern shapes, or `talk2017`, those of the original comparison.
      input_representation, output_representation: keys of `models.representations.REPRESENTATIONS`.
      error_correction: of `binary_code`: `bch`, or `copies` (three copies of the index, averaged).
      hybrid_rest: how the output `hybrid` tells words that are no stop words apart: `vector`, `binary_code`.
      train_vectors: learn the word vectors further instead of freezing them.
      mirror_regions: in training, mirror the grid of regions of half of the images. It makes more of few
        images; wrong where captions say left and right.
      width: decoder state and output width H.
      layers: decoder layers. CNNs without `dilations` take 1, 1, 1... (gated) or 1, 2, 4... (dilated).
      embedding_width: width E of the projected input representation; 0 takes it as it is.
      image_width: width of the projected image; 0 takes the standardized features as they are.
      image_entry: how the image enters beside attention: `first_state` (GRU only), `prefix` (before the first
        word), `every_step` (beside every word) or `none`.
      image_attention: attend to the regions of the image in every layer.
      heads: attention heads.
      key_width: width of a head's queries and keys; 0 is `width / heads`.
      feed_forward: inner width of the Transformer's feed-forward blocks.
      kernel_size: words that a convolution sees.
      dilations: distance of these words, a number a layer.
      normalization: `layer` (before each block), `batch` (after it, as in the talk) or `none`.
      residual: add a block's input to its output.
      dropout: rate after embedding, in each block and before the logits.
    """

    decoder: str = "gru"
    preset: str = "default"
    input_representation: str = "hybrid"
    output_representation: str = "one_hot"
    error_correction: str = "bch"
    hybrid_rest: str = "vector"
    train_vectors: bool = False
    mirror_regions: bool = False
    width: int | None = None
    layers: int | None = None
    embedding_width: int | None = None
    image_width: int | None = None
    image_entry: str | None = None
    image_attention: bool | None = None
    heads: int | None = None
    key_width: int | None = None
    feed_forward: int | None = None
    kernel_size: int | None = None
    dilations: tuple[int, ...] | None = None
    normalization: str | None = None
    residual: bool | None = None
    dropout: float | None = None

    def __post_init__(self) -> None:
        if self.dilations is not None:  # JSON has lists only
            object.__setattr__(self, "dilations", tuple(self.dilations))
        choice("model.decoder", self.decoder, tuple(IMAGE_ENTRIES))
        choice("model.preset", self.preset, ("default", "talk2017"))
        choice("model.input_representation", self.input_representation, _REPRESENTATIONS)
        choice("model.output_representation", self.output_representation, _REPRESENTATIONS)
        choice("model.error_correction", self.error_correction, ("bch", "copies"))
        choice("model.hybrid_rest", self.hybrid_rest, ("vector", "binary_code"))
        _check(self._filled())

    def resolve(self) -> "ResolvedModelConfig":
        """Returns the config with every option filled in from the preset."""
        return ResolvedModelConfig(**dataclasses.asdict(self) | self._filled())

    def _filled(self) -> dict[str, Any]:
        given = {key: value for key, value in dataclasses.asdict(self).items() if value is not None}
        filled = _PRESETS[self.decoder, self.preset] | given
        if "layers" in given and "dilations" not in given:
            grows = self.decoder == "dilated_cnn"
            filled["dilations"] = tuple(2 ** (layer % 5) if grows else 1 for layer in range(given["layers"]))
        filled.setdefault("layers", len(filled["dilations"]))
        return filled


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResolvedModelConfig(ModelConfig):
    """A `ModelConfig` with nothing left open, for the layers that are made of it."""

    width: int
    layers: int
    embedding_width: int
    image_width: int
    image_entry: str
    image_attention: bool
    heads: int
    key_width: int
    feed_forward: int
    kernel_size: int
    dilations: tuple[int, ...]
    normalization: str
    residual: bool
    dropout: float


_REPRESENTATIONS = ("one_hot", "vector", "binary_code", "hybrid")
# By decoder: how the image may enter beside attention.
IMAGE_ENTRIES = {
    "gru": ("first_state", "prefix", "every_step", "none"),
    "dilated_cnn": ("prefix", "every_step", "none"),
    "gated_cnn": ("prefix", "every_step", "none"),
    "transformer": ("every_step", "none"),
}
_DEFAULT: dict[str, Any] = {
    "width": 256,
    "embedding_width": 256,
    "image_width": 256,
    "image_attention": True,
    "heads": 4,
    "key_width": 0,
    "feed_forward": 1024,
    "kernel_size": 3,
    "normalization": "layer",
    "residual": True,
    "dropout": 0.25,
}
_TALK: dict[str, Any] = {
    "width": 200,
    "image_width": 0,
    "image_attention": False,
    "heads": 4,
    "key_width": 32,
    "feed_forward": 400,
    "kernel_size": 3,
    "normalization": "batch",
    "residual": True,
    "dropout": 0.0,
}
_PRESETS: dict[tuple[str, str], dict[str, Any]] = {
    ("gru", "default"): _DEFAULT
    | {"width": 320, "image_width": 320, "image_entry": "first_state", "dilations": (1, 1)},
    ("dilated_cnn", "default"): _DEFAULT | {"image_entry": "every_step", "dilations": (1, 2, 4, 8)},
    ("gated_cnn", "default"): _DEFAULT | {"image_entry": "every_step", "dilations": (1, 1, 1)},
    ("transformer", "default"): _DEFAULT | {"image_entry": "every_step", "dilations": (1, 1)},
    ("gru", "talk2017"): _TALK
    | {
        "image_entry": "first_state",
        "embedding_width": 0,
        "dilations": (1, 1),
        "normalization": "none",
        "residual": False,
    },
    ("dilated_cnn", "talk2017"): _TALK
    | {
        "image_entry": "every_step",
        "image_width": 200,
        "embedding_width": 400,
        "dilations": (1, 1, 2, 4, 8, 16, 1, 2, 4, 8, 16, 1),
        "residual": False,
    },
    ("gated_cnn", "talk2017"): _TALK
    | {"image_entry": "every_step", "embedding_width": 800, "dilations": (1, 2, 4, 8, 16)},
    ("transformer", "talk2017"): _TALK
    | {"image_entry": "none", "image_attention": True, "embedding_width": 200, "dilations": (1, 1)},
}


def _check(options: dict[str, Any]) -> None:
    for name in ("width", "layers", "heads", "feed_forward", "kernel_size"):
        require(options[name] >= 1, f"model.{name} must be 1 or more; got {options[name]}")
    for name in ("embedding_width", "image_width", "key_width"):
        require(options[name] >= 0, f"model.{name} must be 0 or more; got {options[name]}")
    require(0 <= options["dropout"] < 1, f"model.dropout must be in [0, 1); got {options['dropout']}")
    choice("model.normalization", options["normalization"], ("layer", "batch", "none"))
    choice(
        f"model.image_entry of {options['decoder']}",
        options["image_entry"],
        IMAGE_ENTRIES[options["decoder"]],
    )
    require(
        options["image_attention"] or options["image_entry"] != "none",
        "the decoder would not see the image: set model.image_attention=true or another model.image_entry",
    )
    require(
        options["image_attention"] or options["decoder"] != "transformer",
        "the transformer always attends to the image; leave model.image_attention out",
    )
    require(
        all(dilation >= 1 for dilation in options["dilations"]),
        f"model.dilations must be 1 or more each; got {options['dilations']}",
    )
    require(
        len(options["dilations"]) == options["layers"],
        f"model.dilations has {len(options['dilations'])} numbers for model.layers={options['layers']}: "
        "one a layer is expected; set one of the two",
    )
    width, heads = options["width"], options["heads"]
    require(
        not options["image_attention"] or width % heads == 0,
        f"model.width must divide by model.heads; got {width} and {heads} heads",
    )
    require(
        options["embedding_width"] > 0 or options["input_representation"] != "one_hot",
        "model.embedding_width=0 would feed one-hot words as wide as the vocabulary; give it a width, or "
        "take another model.input_representation",
    )
