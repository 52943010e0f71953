"""Generated scenes: the pictures show what the facts say."""

import io
import json
import random

import numpy as np
import pytest
from PIL import Image

from pipeline.importers import scenes
from pipeline.importers.scene_grammar import ABOVE, COLOURS, KINDS, LEFT_OF, RELATIONS, SceneClaim

MANY = [scenes.invent_scene(random.Random(seed)) for seed in range(300)]


def test_the_same_seed_gives_the_same_bytes():
    first, again, other = (scenes.make_source(3, 1, 1, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert [e.image.read() for e in first.entries] == [e.image.read() for e in again.entries]
    assert first.entries[0].image.read() != other.entries[0].image.read()


def test_more_pictures_do_not_change_the_first_ones():
    assert scenes.make_source(3, 1, 1).entries[:3] == scenes.make_source(9, 1, 1).entries[:3]


def test_splits_and_facts():
    source = scenes.make_source(5, 3, 2)
    assert [entry.split for entry in source.entries] == ["train"] * 5 + ["eval"] * 3 + ["test"] * 2
    facts = [json.loads(line) for line in source.side_files[scenes.FACTS_FILE].splitlines()]
    assert [fact["image_id"] for fact in facts] == [entry.image_id for entry in source.entries]
    for fact, entry in zip(facts, source.entries, strict=True):
        assert SceneClaim.from_dict(fact) == entry.image.scene.facts


def test_the_lot_reaches_everything():
    things = [thing for scene in MANY for thing in scene.facts.things]
    assert {thing.kind for thing in things} == set(KINDS)
    assert {thing.colour for thing in things} == set(COLOURS)
    assert {scene.facts.relation for scene in MANY} == {*RELATIONS, ""}


def painted(scene: scenes.Scene, index: int) -> np.ndarray:
    """The (y, x) of the pixels of one thing, drawn alone on the scene's background."""
    alone = scenes.Scene(
        SceneClaim(scene.facts.things[index : index + 1]),
        scene.centres[index : index + 1],
        scene.scales[index : index + 1],
        scene.shades[index : index + 1],
        scene.background,
    )
    difference = np.abs(np.asarray(scenes.draw_scene(alone)).astype(int) - scene.background)
    return np.argwhere(difference.max(axis=2) > 20)


@pytest.mark.parametrize("scene", MANY[:40])
def test_things_are_whole_apart_and_related_as_the_facts_say(scene):
    boxes = []
    for index in range(len(scene.facts.things)):
        pixels = painted(scene, index)
        boxes.append((pixels.min(axis=0), pixels.max(axis=0)))
        assert boxes[-1][0].min() >= 1
        assert boxes[-1][1].max() <= scenes.SIDE - 2
    if scene.facts.relation:
        axis = {ABOVE: 0, LEFT_OF: 1}[scene.facts.relation]
        assert boxes[0][1][axis] + 5 < boxes[1][0][axis]


def test_silhouettes_differ():
    shapes = {}
    for kind in KINDS:
        scene = scenes.Scene(
            SceneClaim((scenes.Thing(kind, "black", "large"),)),
            ((149, 149),),
            (1.0,),
            ((0, 0, 0),),
            (255,) * 3,
        )
        shapes[kind] = np.asarray(scenes.draw_scene(scene))[..., 0] < 128
    for first in KINDS:
        for second in KINDS:
            if first != second:
                common, either = shapes[first] & shapes[second], shapes[first] | shapes[second]
                assert common.sum() / either.sum() < 0.85, (first, second)


def test_the_file_is_an_rgb_jpeg_of_the_encoders_size():
    image = Image.open(io.BytesIO(scenes.make_source(1, 0, 0).entries[0].image.read()))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (299, 299))
