"""The ImageFeaturizer component: raw Examples -> Examples with features, and the encoder that made them."""

import apache_beam as beam
from tfx import v1 as tfx
from tfx.dsl.component.experimental.annotations import BeamComponentParameter

from components.image_featurizer import executor


@tfx.dsl.components.component(use_beam=True)
def ImageFeaturizer(
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    featurized: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Examples],
    encoder: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Model],
    encoder_config: tfx.dsl.components.Parameter[str],
    store_dir: tfx.dsl.components.Parameter[str],
    code_version: tfx.dsl.components.Parameter[str] = "",
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Replaces `image/encoded` by `image/features` and passes every other feature on.

    Features are kept in a store: an image seen before by an equal encoder is not computed again, whichever
    span or run it comes in.

    Args:
      examples: raw Examples (`models.features`), gzipped TFRecords.
      featurized: same splits, span and formats; `image/features` is float16 `[R, D]`, little-endian bytes.
        Images that cannot be decoded are left out and listed in `rejected.jsonl` in its folder. Custom
        properties `images_computed`, `images_reused`, `images_failed` count them, and
        `encoder_fingerprint` names the encoder.
      encoder: a SavedModel of `models.image_encoder` in `Format-Serving`, as TFX's Trainer takes a base
        model. Custom properties `regions` and `width` are the shape of the features.
      encoder_config: JSON of `models.config.EncoderConfig`.
      store_dir: folder of the store, kept between runs; it must be shared by the workers.
      code_version: changes when code that matters does; only tells TFX's cache.
      beam_pipeline: given by TFX.

    Raises:
      ValueError: bad config or weights, other formats, or a split without a single good image.
    """
    del code_version
    executor.featurize(examples, featurized, encoder, encoder_config, store_dir, beam_pipeline)
