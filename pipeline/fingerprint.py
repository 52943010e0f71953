"""Fingerprints of what TFX's cache cannot see: our source code, and large files."""

import hashlib
import pathlib
from collections.abc import Iterable

_ROOT = pathlib.Path(__file__).resolve().parent.parent

TRANSFORM_SOURCES = (
    "components/transform",
    *(
        f"models/{name}.py"
        for name in ("config", "features", "preprocessing", "stop_words", "vocabulary", "word_vectors")
    ),
)
EVALUATOR_SOURCES = (
    "components/metrics",
    "components/evaluator",
    "models/metrics",
    "models/features.py",
    "models/seen_captions.py",
    "models/encoder_identity.py",
)
METER_SOURCES = ("components/caption_meter", "models/metrics", "serving/saved_model.py", "models/features.py")
VALIDATOR_SOURCES = ("components/serving_validator", "serving", "models/features.py")
# The encoder has a fingerprint of its own; these metrics are the Evaluator's alone.
_NOT_TRAINER = (
    "models/metrics/bootstrap.py",
    "models/metrics/catalogue.py",
    "models/metrics/cider_d_resampled.py",
    "models/metrics/diversity.py",
    "models/metrics/files.py",
    "models/metrics/interval.py",
    "models/metrics/meteor.py",
    "models/metrics/rouge_l.py",
    "models/metrics/scores.py",
    "models/image_encoder.py",
    "models/inception.py",
    "models/decode_image.py",
)


def of_sources(paths: Iterable[str]) -> str:
    """16 hex digits of the content of Python files and folders, named from the packages' root."""
    files: set[pathlib.Path] = set()
    for path in paths:
        place = _ROOT / path
        files |= set(place.rglob("*.py")) if place.is_dir() else {place}
    return _digest(f"{file.relative_to(_ROOT)}\0{file.read_text('utf-8')}" for file in sorted(files))


def of_trainer() -> str:
    """Fingerprint of all that the Trainer runs."""
    files = (str(file.relative_to(_ROOT)) for file in sorted((_ROOT / "models").rglob("*.py")))
    return of_sources(["components/trainer", *(file for file in files if not file.startswith(_NOT_TRAINER))])


def of_file(path: str) -> str:
    """Fingerprint of a large file by size and time, empty for what is not a file."""
    file = pathlib.Path(path)
    return f"{file.stat().st_size} {file.stat().st_mtime_ns}" if file.is_file() else ""


def of_texts(*texts: str) -> str:
    """Fingerprint of texts."""
    return _digest(texts)


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0\0".join(parts).encode()).hexdigest()[:16]
