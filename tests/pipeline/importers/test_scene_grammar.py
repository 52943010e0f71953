"""Captions of scenes: what is written can be read, and is judged by the facts."""

import dataclasses
import random

import pytest

from pipeline.importers.scene_grammar import (
    ABOVE,
    COLOURS,
    KINDS,
    LEFT_OF,
    SIZES,
    Judgement,
    SceneClaim,
    Thing,
    all_captions,
    judge,
    parse_caption,
    write_captions,
)

THINGS = [Thing(kind, colour, size) for kind in KINDS for colour in COLOURS for size in SIZES]
RED_CIRCLE = Thing("circle", "red", "large")
BLUE_STAR = Thing("star", "blue", "small")
FACTS = SceneClaim((RED_CIRCLE, BLUE_STAR), ABOVE)
TRUE = Judgement(colours=True, kinds=True, relation=True, whole=True)


def some_facts():
    for place, first in enumerate(THINGS):
        yield SceneClaim((first,))
        for step in (1, 7, 29, 40):
            second = THINGS[(place + step) % len(THINGS)]
            for relation in (LEFT_OF, ABOVE):
                yield SceneClaim((first, second), relation)


def test_every_caption_of_the_grammar_parses_to_the_facts():
    for facts in some_facts():
        unsized = SceneClaim(tuple(Thing(t.kind, t.colour) for t in facts.things), facts.relation)
        for caption in all_captions(facts):
            assert parse_caption(caption) in (facts, unsized), caption


def test_every_caption_of_the_grammar_is_true():
    for facts in some_facts():
        assert {judge(parse_caption(caption), facts) for caption in all_captions(facts)} == {TRUE}


def test_no_two_facts_share_a_caption_with_sizes():
    other = SceneClaim((BLUE_STAR, RED_CIRCLE), ABOVE)
    beside = SceneClaim((RED_CIRCLE, BLUE_STAR), LEFT_OF)
    sets = [set(all_captions(facts)) for facts in (FACTS, other, beside)]
    assert len(set.union(*sets)) == sum(map(len, sets))


def test_five_captions_differ_and_belong_to_the_grammar():
    for seed, facts in enumerate(some_facts()):
        captions = write_captions(facts, random.Random(seed))
        assert len(set(captions)) == 5
        assert set(captions) <= set(all_captions(facts))


def test_both_directions_are_written():
    captions = {caption for seed in range(20) for caption in write_captions(FACTS, random.Random(seed))}
    assert any(" above " in caption for caption in captions)
    assert any(" below " in caption for caption in captions)
    assert any(" large " in caption for caption in captions)
    assert any(" large " not in caption for caption in captions)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a red circle is above a blue star", FACTS),
        ("a blue star is below a red circle", FACTS),
        ("above a blue star is a red circle", FACTS),
        ("below a red circle there is a blue star", FACTS),
        ("  The RED circle is over the blue   star. ", FACTS),
        ("a red circle to the left of a blue star", dataclasses.replace(FACTS, relation=LEFT_OF)),
        ("to the right of a red circle is a blue star", dataclasses.replace(FACTS, relation=LEFT_OF)),
    ],
)
def test_meaning_of_the_wordings(caption, expected):
    claim = parse_caption(caption)
    assert claim is not None
    assert claim.relation == expected.relation
    assert [(t.kind, t.colour) for t in claim.things] == [(t.kind, t.colour) for t in expected.things]


@pytest.mark.parametrize(
    "caption",
    ["", "a dog runs", "a red circle a blue star", "a red circle is above", "a red is above a blue star"],
)
def test_other_text_does_not_parse(caption):
    assert parse_caption(caption) is None


@pytest.mark.parametrize(
    ("caption", "colours", "kinds", "relation", "whole"),
    [
        ("a large red circle above a small blue star", True, True, True, True),
        ("a small red circle above a small blue star", True, True, True, False),
        ("a red square above a blue star", True, False, True, False),
        ("a red circle above a green star", False, True, True, False),
        ("a red circle below a blue star", True, True, False, False),
        ("a red circle left of a blue star", True, True, False, False),
        ("a red star above a blue circle", True, False, True, False),
        ("a blue star above a red circle", True, True, False, False),
        ("a red circle", False, False, False, False),
        ("a dog runs", False, False, False, False),
    ],
)
def test_judgement(caption, colours, kinds, relation, whole):
    assert judge(parse_caption(caption), FACTS) == Judgement(colours, kinds, relation, whole)


def test_a_single_thing_has_no_relation():
    facts = SceneClaim((RED_CIRCLE,))
    assert judge(parse_caption("there is a red circle"), facts) == TRUE
    assert not judge(parse_caption("a red circle above a blue star"), facts).whole
    assert not judge(parse_caption("there is a red ring"), facts).whole


def test_facts_survive_json_values():
    assert SceneClaim.from_dict({"image_id": "x"} | FACTS.to_dict()) == FACTS
