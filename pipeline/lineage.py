"""Where a model comes from: data, code and machine."""

import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
from typing import Any

from pipeline import fingerprint
from pipeline.errors import UserError
from pipeline.importers.importer import MANIFEST

_PACKAGES = ("tfx", "tensorflow", "keras", "apache-beam")
_OF_SPAN = ("source", "span", "images", "captions", "images_read", "captions_read", "rejected")


def spans(data: str) -> list[dict[str, Any]]:
    """Returns what is known of every span: its manifest, without the lists that are as long as the data.

    A span without a manifest has nothing but its number and `source` `unknown`.

    Raises:
      UserError: a manifest is broken.
    """
    found: list[dict[str, Any]] = []
    for folder in sorted(pathlib.Path(data).glob("span-*")):
        path = folder / MANIFEST
        if not path.exists():
            found.append({"source": "unknown", "span": folder.name.removeprefix("span-")})
            continue
        try:
            manifest = json.loads(path.read_text("utf-8"))
            splits = {
                name: {"images": split["images"], "captions": split["captions"]}
                for name, split in manifest["splits"].items()
            }
            across = [group for group in manifest["identical_pictures"] if len(group["splits"]) > 1]
            kept = {key: manifest[key] for key in _OF_SPAN}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path} is broken ({type(error).__name__}: {error}); import the span again, or move the "
                "manifest away: the report then says that nothing is known of the span"
            ) from error
        found.append(kept | {"splits": splits, "in_several_splits": len(across)})
    return found


def code() -> dict[str, str]:
    """Returns the version of this software and of those under it."""
    return {
        "tfx-captioner": importlib.metadata.version("tfx-captioner"),
        "commit": _commit(),
        "trainer's code": fingerprint.of_trainer(),
    } | {name: importlib.metadata.version(name) for name in _PACKAGES}


def machine() -> dict[str, str]:
    """Returns what this run runs on."""
    facts = {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    import tensorflow as tf

    devices = [
        str(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name))
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return facts | {"accelerators": ", ".join(devices) or "none"}


def _processor() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    """The commit of the checkout that this is, with a mark if it was changed; empty for an installed one."""
    here = pathlib.Path(__file__).resolve().parent.parent
    if not (here / ".git").exists():
        return ""
    try:
        described = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return described.stdout.strip()
