"""Pages and other texts from templates, and files that are written whole or not at all."""

import importlib.resources
import os
import pathlib
from typing import Any

import jinja2


def render(template: str, html: bool = True, **values: Any) -> str:
    """Returns a template of `pipeline/templates`, filled in; in HTML, values are text and never markup."""
    text = importlib.resources.files("pipeline").joinpath(f"templates/{template}").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=html, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(text).render(**values)


def write(path: pathlib.Path, text: str) -> None:
    """Writes a file, whole or not at all, also if the power fails; its folder need not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.writing")
    with open(aside, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # else the name may be on disk before the content
    os.replace(aside, path)
