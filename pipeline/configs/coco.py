"""COCO Captions (123,287 photographs of train2014 and val2014, or the 2017 folders).

captioner import coco --source DIR --out data/coco
captioner run --config coco --data data/coco --root runs/coco

Not measured by us: the photographs take 20 GB.
"""

from models.config import CorpusConfig, DecodeConfig, EncoderConfig, ModelConfig, TrainConfig
from pipeline.config import PipelineConfig
from pipeline.eval_config import GateConfig

CONFIG = PipelineConfig(
    name="coco",
    encoder=EncoderConfig(weights="imagenet", layer="mixed10", pooling="grid", grid_size=4),
    corpus=CorpusConfig(min_images=5),
    model=ModelConfig(decoder="transformer", mirror_regions=True),
    train=TrainConfig(epochs=15, self_critical_epochs=2),
    decode=DecodeConfig(no_repeat_ngram=3),
    gate=GateConfig(min_bleu_4=0.2, min_cider_d=0.6),
)
