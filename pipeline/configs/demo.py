"""The embedded demo: generated pictures of coloured shapes (`captioner import scenes`).

captioner demo

runs import, training, judging, pushing and serving; see README for what it prints.
"""

from models.config import CorpusConfig, DecodeConfig, EncoderConfig, ModelConfig, TrainConfig
from pipeline.config import PipelineConfig
from pipeline.eval_config import GateConfig

CONFIG = PipelineConfig(
    name="demo",
    # `auto`: real weights where Keras has them on disk already, else random ones, which see enough here.
    encoder=EncoderConfig(weights="auto", layer="mixed0", pooling="grid", grid_size=4),
    corpus=CorpusConfig(min_images=5),
    model=ModelConfig(width=256, embedding_width=128, dropout=0.1),
    train=TrainConfig(epochs=9, batch_size=64, learning_rate=2e-3),
    decode=DecodeConfig(beam_width=3, captions=3),
    # 200 pictures tell no finer differences than these, of scores about 0.76 and 4.6.
    gate=GateConfig(min_bleu_4=0.12, min_cider_d=0.25, allowed_loss_bleu_4=0.05, allowed_loss_cider_d=0.3),
)
