"""Dilated causal CNN decoder."""

from keras import ops

from models.decoders.stack import StackedDecoder
from models.layers.convolution import CausalConvolution


class DilatedCNNDecoder(StackedDecoder):
    """Causal convolutions with growing dilation (WaveNet: van den Oord et al. 2016, arXiv 1609.03499).

    State of a layer: its last (kernel_size - 1) * dilation inputs.
    """

    def word_activation(self, config):
        # The talk's first layer is a convolution over one word with this activation.
        return "relu" if config.preset == "talk2017" else None

    def make_block(self, config, layer):
        return CausalConvolution(config.width, config.kernel_size, config.dilations[layer], "relu")

    def start(self, block, image):
        return block.empty(ops.shape(image)[0])

    def step_block(self, block, x, state):
        return block.step(x, state)
