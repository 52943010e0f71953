"""The embedded data set: drawn pictures of coloured objects with captions that a program can check."""

import dataclasses
import io
import json
import math
import random
from typing import Final

from PIL import Image, ImageDraw

from pipeline.importers.records import EVAL, TEST, TRAIN, Entry, Source
from pipeline.importers.scene_grammar import (
    COLOURS,
    KINDS,
    LEFT_OF,
    RELATIONS,
    SIZES,
    SceneClaim,
    Thing,
    write_captions,
)

SIDE: Final = 299  # pixels: InceptionV3's input, so nothing is lost to resizing
FACTS_FILE: Final = "scenes.jsonl"
_SUPERSAMPLE: Final = 3
_SINGLE_SHARE: Final = 0.1
_RADIUS: Final = {"small": 38.0, "large": 60.0}
_RGB: Final = {
    "red": (222, 30, 34),
    "green": (30, 160, 60),
    "blue": (34, 72, 228),
    "yellow": (252, 208, 22),
    "purple": (164, 44, 190),
    "black": (22, 22, 24),
}

Point = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Scene:
    """Everything that a picture needs to be drawn again.

    Attributes:
      facts: what is in it.
      centres: `(x, y)` of each thing in pixels.
      scales: size of each thing relative to the nominal one.
      shades: RGB of each thing.
      background: RGB.
    """

    facts: SceneClaim
    centres: tuple[Point, ...]
    scales: tuple[float, ...]
    shades: tuple[tuple[int, int, int], ...]
    background: tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class DrawnFile:
    """The JPEG file of a scene, drawn when it is read."""

    path: str
    scene: Scene

    def read(self) -> bytes:
        file = io.BytesIO()
        # Full colour resolution: halved, thin shapes bleed into the background.
        draw_scene(self.scene).save(file, "JPEG", quality=92, subsampling=0)
        return file.getvalue()


def make_source(train: int = 2400, evaluation: int = 200, test: int = 100, seed: int = 1) -> Source:
    """Invents scenes and their captions.

    Args:
      train, evaluation, test: pictures a split.
      seed: decides everything; the same seed gives the same bytes.

    Returns:
      The source, with the facts of each picture as a side file `scenes.jsonl`.
    """
    entries = []
    facts = []
    for split, count in ((TRAIN, train), (EVAL, evaluation), (TEST, test)):
        for number in range(count):
            image_id = f"scene-{split}-{number:05}"
            random_ = random.Random(f"{seed}/{image_id}")
            scene = invent_scene(random_)
            captions = tuple(write_captions(scene.facts, random_))
            picture = DrawnFile(f"{image_id}.jpg", scene)
            entries.append(Entry(image_id, picture, captions, split, objects=len(scene.facts.things)))
            facts.append({"image_id": image_id, "split": split} | scene.facts.to_dict())
    lines = "".join(json.dumps(fact) + "\n" for fact in facts)
    return Source(
        "scenes", entries, captions_read=sum(len(e.captions) for e in entries), side_files={FACTS_FILE: lines}
    )


def invent_scene(random_: random.Random) -> Scene:
    """Draws the facts of a scene by lot: one thing, or two different ones clearly apart."""
    count = 1 if random_.random() < _SINGLE_SHARE else 2
    looks = random_.sample([(kind, colour) for kind in KINDS for colour in COLOURS], count)
    things = tuple(Thing(kind, colour, random_.choice(SIZES)) for kind, colour in looks)
    relation = random_.choice(RELATIONS) if count == 2 else ""

    def near(place: float, spread: float) -> float:
        return place + random_.uniform(-spread, spread)

    centres: list[Point] = []
    for index in range(count):
        along = SIDE * (0.5 if count == 1 else (0.25, 0.75)[index])
        place = (near(along, 6), near(SIDE / 2, 24))
        centres.append(place if relation in (LEFT_OF, "") else place[::-1])
    paper = random_.randint(232, 250)
    return Scene(
        SceneClaim(things, relation),
        tuple(centres),
        tuple(random_.uniform(0.94, 1.06) for _ in things),
        tuple(_vary(_RGB[thing.colour], 10, random_) for thing in things),
        _vary((paper, paper, paper), 5, random_),
    )


def _vary(rgb: tuple[int, int, int], spread: int, random_: random.Random) -> tuple[int, int, int]:
    red, green, blue = (min(255, max(0, value + random_.randint(-spread, spread))) for value in rgb)
    return red, green, blue


def draw_scene(scene: Scene) -> Image.Image:
    """Returns the picture, `SIDE` x `SIDE` RGB, with smooth edges."""
    canvas = Image.new("RGB", (SIDE * _SUPERSAMPLE, SIDE * _SUPERSAMPLE), scene.background)
    draw = ImageDraw.Draw(canvas)
    for thing, (x, y), scale, shade in zip(
        scene.facts.things, scene.centres, scene.scales, scene.shades, strict=True
    ):
        centre = (x * _SUPERSAMPLE, y * _SUPERSAMPLE)
        radius = _RADIUS[thing.size] * scale * _SUPERSAMPLE
        _draw_thing(draw, thing.kind, centre, radius, shade, scene.background)
    return canvas.reduce(_SUPERSAMPLE)


def _draw_thing(
    draw: ImageDraw.ImageDraw,
    kind: str,
    centre: Point,
    radius: float,
    shade: tuple[int, int, int],
    background: tuple[int, int, int],
) -> None:
    x, y = centre

    def box(share: float) -> tuple[float, float, float, float]:
        return x - radius * share, y - radius * share, x + radius * share, y + radius * share

    if kind == "circle":
        draw.ellipse(box(1), fill=shade)
    elif kind == "ring":
        draw.ellipse(box(1), fill=shade)
        draw.ellipse(box(0.62), fill=background)
    elif kind == "square":
        draw.rectangle(box(0.92), fill=shade)
    elif kind == "cross":
        arm = radius * 0.26
        draw.rectangle((x - radius, y - arm, x + radius, y + arm), fill=shade)
        draw.rectangle((x - arm, y - radius, x + arm, y + radius), fill=shade)
    elif kind == "triangle":
        draw.polygon([(x, y - radius), (x + radius, y + radius), (x - radius, y + radius)], fill=shade)
    elif kind == "star":
        # Five points; 0.4 of the radius between them.
        turns = [(1 if i % 2 == 0 else 0.4, math.pi * (i / 5 - 0.5)) for i in range(10)]
        draw.polygon(
            [(x + radius * r * math.cos(a), y + radius * r * math.sin(a)) for r, a in turns], fill=shade
        )
    else:
        raise ValueError(f"Cannot draw a {kind!r}; expected one of {', '.join(KINDS)}")
