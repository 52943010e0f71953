"""METEOR 1.5 by its authors' own program, a Java archive: the figure that papers report.

Denkowski and Lavie, "Meteor Universal: language specific translation evaluation for any target language",
WMT 2014. The archive comes with the package pycocoevalcap (extra `meteor`), which nothing here imports.
"""

import dataclasses
import importlib.util
import pathlib
import shutil
import subprocess
import threading
from collections.abc import Sequence
from typing import IO, Final

Words = Sequence[str]
_JAR: Final = "meteor/meteor-1.5.jar"
# coco-caption's flags: English, and text normalized by METEOR itself.
_FLAGS: Final = ("-", "-", "-stdio", "-l", "en", "-norm")
_SEPARATOR: Final = "|||"
_START_S: Final = 120.0
_CAPTION_S: Final = 0.05  # ten times what one takes


@dataclasses.dataclass(frozen=True)
class Unavailable:
    """METEOR cannot be computed here; `reason` says why and what would help."""

    reason: str


def find() -> pathlib.Path | Unavailable:
    """Returns METEOR's archive, or why it cannot be run."""
    if shutil.which("java") is None:
        return Unavailable("Java was not found; install a Java runtime")
    spec = importlib.util.find_spec("pycocoevalcap")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (jar := pathlib.Path(folder, _JAR)).is_file():
            return jar
    return Unavailable("its archive was not found; install the extra 'meteor' (the package pycocoevalcap)")


def meteor(
    systems: Sequence[Sequence[Words]], references: Sequence[Sequence[Words]]
) -> list[float] | Unavailable:
    """Returns METEOR of each system's captions, in [0, 1], or why it was not computed.

    An empty caption has no match. One Java process of up to 2 GB, which takes some seconds to start.

    Args:
      systems: of each, a tokenised caption an image.
      references: tokenised, of each image.
    """
    jar = find()
    if isinstance(jar, Unavailable):
        return jar
    if not references:
        return Unavailable("there are no captions")
    late = threading.Event()
    try:
        process = subprocess.Popen(
            ["java", "-Xmx2G", "-jar", str(jar), *_FLAGS],
            cwd=jar.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
    except OSError as error:
        return Unavailable(f"Java could not be started: {error}")

    def stop() -> None:
        late.set()
        process.kill()

    assert process.stdin is not None
    assert process.stdout is not None
    # A Java that hangs must not hang a pipeline.
    limit = _START_S + _CAPTION_S * len(references) * len(systems)
    watchdog = threading.Timer(limit, stop)
    watchdog.start()
    try:
        return [_score(process.stdin, process.stdout, captions, references) for captions in systems]
    except (OSError, ValueError):
        if late.is_set():
            return Unavailable(f"its program was not done after {limit:.0f} s")
        return Unavailable(
            "its program ended early; try 'java -version', and look at the memory left (it takes 2 GB)"
        )
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def _score(
    to: IO[str], answers: IO[str], captions: Sequence[Words], references: Sequence[Sequence[Words]]
) -> float:
    statistics = []
    for words, of_image in zip(captions, references, strict=True):
        to.write(f" {_SEPARATOR} ".join(["SCORE", *map(_line, of_image), _line(words)]) + "\n")
        to.flush()
        statistics.append(_next(answers))
    to.write(f" {_SEPARATOR} ".join(["EVAL", *statistics]) + "\n")
    to.flush()
    # A line a caption, then that of the corpus.
    return [float(_next(answers)) for _ in range(len(captions) + 1)][-1]


def _next(answers: IO[str]) -> str:
    answer = answers.readline().strip()
    if not answer:
        raise OSError("no answer")
    return answer


def _line(words: Words) -> str:
    return " ".join(words).replace(_SEPARATOR, "")
