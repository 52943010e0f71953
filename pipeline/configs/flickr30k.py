"""Flickr30k (31,783 photographs), Karpathy's splits where given.

captioner import flickr30k --source DIR --out data/flickr30k
captioner run --config flickr30k --data data/flickr30k --root runs/flickr30k

Not measured by us: the data set has to be asked for.
"""

from models.config import CorpusConfig, DecodeConfig, EncoderConfig, ModelConfig, TrainConfig
from pipeline.config import PipelineConfig
from pipeline.eval_config import GateConfig

CONFIG = PipelineConfig(
    name="flickr30k",
    encoder=EncoderConfig(weights="imagenet", layer="mixed10", pooling="grid", grid_size=4),
    corpus=CorpusConfig(min_images=5),
    model=ModelConfig(decoder="transformer", mirror_regions=True),
    train=TrainConfig(epochs=20, self_critical_epochs=2),
    decode=DecodeConfig(no_repeat_ngram=3),
    gate=GateConfig(min_bleu_4=0.12, min_cider_d=0.25),
)
