"""Flickr30k (31,783 photographs), Karpathy's splits where given.

captioner import flickr30k --source DIR --out data/flickr30k
captioner run --config flickr30k --data data/flickr30k --root runs/flickr30k

Not measured by us: the data set has to be asked for.
"""

from models.config import CorpusConfig, EncoderConfig, ModelConfig, TrainConfig
from pipeline.config import PipelineConfig
from pipeline.eval_config import GateConfig

CONFIG = PipelineConfig(
    name="flickr30k",
    encoder=EncoderConfig(weights="imagenet", layer="mixed10", pooling="pool"),
    corpus=CorpusConfig(min_images=5),
    model=ModelConfig(width=512, embedding_width=256),
    train=TrainConfig(epochs=20),
    gate=GateConfig(min_bleu_4=0.12, min_cider_d=0.25),
)
