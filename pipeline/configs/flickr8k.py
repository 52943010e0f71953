"""Flickr8k (8,091 photographs), the official splits.

captioner import flickr8k --source DIR --out data/flickr8k
captioner run --config flickr8k --data data/flickr8k --root runs/flickr8k

Measured with features of `mixed8` (--set encoder.layer=mixed8) on the 1,000 dev images, beam 5, one seed:
BLEU-4 0.232, CIDEr-D 0.572. Not measured with the default, `mixed10`.
"""

from models.config import CorpusConfig, DecodeConfig, EncoderConfig, ModelConfig, TrainConfig
from pipeline.config import PipelineConfig
from pipeline.eval_config import GateConfig

CONFIG = PipelineConfig(
    name="flickr8k",
    encoder=EncoderConfig(weights="imagenet", layer="mixed10", pooling="grid", grid_size=4),
    # So small a data set cannot spare the 29 % of captions that have a rare word.
    corpus=CorpusConfig(min_images=5, drop_captions_with_rare_words=False),
    model=ModelConfig(decoder="transformer", mirror_regions=True),
    train=TrainConfig(epochs=7, self_critical_epochs=2),
    decode=DecodeConfig(no_repeat_ngram=3),
    gate=GateConfig(min_bleu_4=0.12, min_cider_d=0.25),
)
