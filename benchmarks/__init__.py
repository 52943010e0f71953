"""Measurements, each a command of its own: `python -m benchmarks.NAME`. README.md has the tables."""

import warnings

# Google's client libraries, which TFX and Beam bring, announce the end of versions, at length.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.")
