"""Decoders by the name that `ModelConfig` uses."""

from models.decoders.gru import GRUDecoder

DECODERS = {"gru": GRUDecoder}
