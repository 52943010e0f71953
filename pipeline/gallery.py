"""A self-contained HTML page of pictures with their captions."""

import base64
import dataclasses
import importlib.resources
import pathlib
from collections.abc import Sequence

import jinja2


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture on the page.

    Attributes:
      image_id: shown under it.
      jpeg: the file's bytes.
      captions: of the model, best first.
      references: of people.
      correct: whether the best caption is right; None where nobody can tell.
    """

    image_id: str
    jpeg: bytes
    captions: Sequence[str]
    references: Sequence[str]
    correct: bool | None = None

    @property
    def data_uri(self) -> str:
        return "data:image/jpeg;base64," + base64.b64encode(self.jpeg).decode("ascii")


def write(path: pathlib.Path, title: str, summary: Sequence[str], pictures: Sequence[Picture]) -> None:
    """Writes the page; `summary` are the sentences on top of it."""
    template = importlib.resources.files("pipeline").joinpath("templates/gallery.html.j2").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    page = environment.from_string(template).render(title=title, summary=summary, pictures=pictures)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
