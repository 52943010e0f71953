"""Word representations by the name that `ModelConfig` uses."""

from models.representations.base import Representation
from models.representations.hybrid import HybridInput, HybridOutput
from models.representations.one_hot import OneHotInput, OneHotOutput
from models.representations.vector import VectorInput, VectorOutput

REPRESENTATIONS = {
    "one_hot": Representation(OneHotInput, OneHotOutput),
    "vector": Representation(VectorInput, VectorOutput),
    "hybrid": Representation(HybridInput, HybridOutput),
}
