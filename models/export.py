"""The served model: one SavedModel from image bytes to caption strings, TensorFlow ops only.

Shapes: R regions, D feature width.
"""

import numpy as np
import tensorflow as tf

from models.captioner import Captioner
from models.config import CorpusConfig, DecodeConfig
from models.signatures import captions, evaluation, insight
from models.signatures.parts import Parts, Signature
from models.word_tables import WordTables


class ServedCaptioner(tf.Module):
    """A captioner with its image encoder, vocabulary and signatures.

    Args:
      model: a built captioner.
      encoder: the loaded SavedModel of `models.image_encoder`, the same that made the training features.
      feature_shape: (R, D).
      vocabulary_path: file of the words, one a line.
      corpus: rules of the corpus (which captions count in the eval signatures).
      decode: how captions are written, where a request does not say otherwise.

    Attributes:
      functions: name of each signature -> its function.
    """

    def __init__(
        self,
        model: Captioner,
        encoder: tf.Module,
        feature_shape: tuple[int, int],
        vocabulary_path: str,
        corpus: CorpusConfig,
        decode: DecodeConfig,
    ):
        super().__init__(name="captioner")
        # What is saved: the raw variables, while Keras's objects hide in `Parts`, which TensorFlow does not
        # follow. Saved through them, the variables are written twice and TensorFlow's C++ loader does not
        # find them.
        self.variables_to_serve = [variable.value for variable in model.variables]
        self.encoder = encoder
        self.words = WordTables(vocabulary_path)
        self._parts = Parts(model, encoder, feature_shape, self.words, corpus, decode)
        self.functions: dict[str, Signature] = {
            **captions.signatures(self._parts),
            **insight.signatures(self._parts),
            **evaluation.signatures(self._parts),
        }

    def caption_greedily(self, features):
        """Features [B, R, D] -> strings [B]."""
        return self.words.text(self._parts.writer.greedy(features)[0])[:, 0]

    @property
    def model(self) -> Captioner:
        """The captioner."""
        return self._parts.model


def save(served: ServedCaptioner, path: str) -> None:
    """Writes the SavedModel with all its signatures."""
    tf.saved_model.save(served, path, signatures=dict(served.functions))


def build(model: Captioner, feature_shape: tuple[int, int]) -> None:
    """Creates the variables of `model`, so that it can be loaded, trained or saved."""
    model(np.zeros((1, *feature_shape), np.float32), np.zeros((1, 2), np.int32))
