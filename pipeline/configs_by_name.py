"""The configs of `pipeline/configs` by name."""

import importlib
import pkgutil

from pipeline import configs
from pipeline.config import PipelineConfig
from pipeline.errors import UserError


def names() -> list[str]:
    """Names that `load` takes."""
    return sorted(module.name for module in pkgutil.iter_modules(configs.__path__))


def load(name: str) -> PipelineConfig:
    """Returns the config `name`. Raises UserError where there is none."""
    if name not in names():
        raise UserError(f"there is no config {name!r}; there are: {', '.join(names())}")
    return importlib.import_module(f"pipeline.configs.{name}").CONFIG
