"""The language of the generated scenes: facts of a picture, captions that state them, and the way back.

A picture shows one or two plain objects. `write_captions` words its facts in different ways;
`parse_caption` reads any such wording (a model's caption too), and `judge` compares it with the facts.
"""

import dataclasses
import itertools
import random
import re
from collections.abc import Iterator
from typing import Any, Final

KINDS: Final = ("circle", "square", "triangle", "star", "cross", "ring")
COLOURS: Final = ("red", "green", "blue", "yellow", "purple", "black")
SIZES: Final = ("small", "large")

LEFT_OF: Final = "left of"
ABOVE: Final = "above"
RELATIONS: Final = (LEFT_OF, ABOVE)

# How a relation is said of its first object, and of its second.
_FORWARD: Final = {LEFT_OF: ("to the left of", "left of"), ABOVE: ("above", "over")}
_BACKWARD: Final = {LEFT_OF: ("to the right of", "right of"), ABOVE: ("below", "under")}

_PAIR_WORDINGS: Final = (
    "{first} {relation} {second}",
    "{first} is {relation} {second}",
    "{first} sits {relation} {second}",
    "there is {first} {relation} {second}",
    "a picture of {first} {relation} {second}",
    "this is {first} {relation} {second}",
    "{relation} {second} is {first}",
    "{relation} {second} there is {first}",
)
_SINGLE_WORDINGS: Final = (
    "{first}",
    "there is {first}",
    "a picture of {first}",
    "this is {first}",
    "{first} and nothing else",
    "{first} is all there is",
    "just {first} on its own",
)
CAPTIONS_A_SCENE: Final = 5
_SIZE_SHARE: Final = 0.3  # of the captions name sizes


@dataclasses.dataclass(frozen=True)
class Thing:
    """An object of a scene, or what a caption says of one.

    Attributes:
      kind, colour: one of KINDS, COLOURS.
      size: one of SIZES; empty where a caption does not say.
    """

    kind: str
    colour: str
    size: str = ""


@dataclasses.dataclass(frozen=True)
class SceneClaim:
    """What is so in a picture (facts), or is said to be (a parsed caption).

    Attributes:
      things: one or two; the first is left of or above the second.
      relation: one of RELATIONS; empty for a single thing.
    """

    things: tuple[Thing, ...]
    relation: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON values."""
        return {"things": [dataclasses.asdict(thing) for thing in self.things], "relation": self.relation}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "SceneClaim":
        """Inverse of `to_dict`; other keys are ignored."""
        return cls(tuple(Thing(**thing) for thing in values["things"]), values["relation"])


@dataclasses.dataclass(frozen=True)
class Judgement:
    """Which parts of a caption are true.

    Attributes:
      colours: as many things as in the picture, with their colours.
      kinds: likewise with their kinds.
      relation: the things are said to stand as they do (one thing: none is said).
      whole: all of these, and every size that is stated.
    """

    colours: bool
    kinds: bool
    relation: bool
    whole: bool


def write_captions(facts: SceneClaim, random_: random.Random) -> list[str]:
    """Returns CAPTIONS_A_SCENE captions, no two with the same wording; some of them name sizes."""
    wordings = _PAIR_WORDINGS if facts.relation else _SINGLE_WORDINGS
    captions = []
    for wording in random_.sample(wordings, CAPTIONS_A_SCENE):
        backward = bool(facts.relation) and random_.random() < 0.5
        phrases = (_BACKWARD if backward else _FORWARD).get(facts.relation, ("",))
        phrase = random_.choice(phrases)
        captions.append(_say(facts, wording, phrase, backward, random_.random() < _SIZE_SHARE))
    return captions


def all_captions(facts: SceneClaim) -> Iterator[str]:
    """Yields every caption that `write_captions` can give for `facts`."""
    if not facts.relation:
        for wording, sizes in itertools.product(_SINGLE_WORDINGS, (False, True)):
            yield _say(facts, wording, "", False, sizes)
        return
    for backward, sizes in itertools.product((False, True), (False, True)):
        for phrase in (_BACKWARD if backward else _FORWARD)[facts.relation]:
            for wording in _PAIR_WORDINGS:
                yield _say(facts, wording, phrase, backward, sizes)


def _say(facts: SceneClaim, wording: str, phrase: str, backward: bool, sizes: bool) -> str:
    things = facts.things[::-1] if backward else facts.things
    nouns = [f"a {thing.size + ' ' if sizes else ''}{thing.colour} {thing.kind}" for thing in things]
    return wording.format(first=nouns[0], second=nouns[-1], relation=phrase)


_THING: Final = rf"(?:a|an|the|one) (?:({'|'.join(SIZES)}) )?({'|'.join(COLOURS)}) ({'|'.join(KINDS)})"
_MEANING: Final = {
    phrase: (relation, backward)
    for backward, table in ((False, _FORWARD), (True, _BACKWARD))
    for relation, phrases in table.items()
    for phrase in phrases
}
_PHRASE: Final = f"({'|'.join(sorted(_MEANING, key=len, reverse=True))})"


def _pattern(wording: str) -> re.Pattern[str]:
    return re.compile(wording.format(first=_THING, second=_THING, relation=_PHRASE))


_PAIR_PATTERNS: Final = [(wording, _pattern(wording)) for wording in _PAIR_WORDINGS]
_SINGLE_PATTERNS: Final = [_pattern(wording) for wording in _SINGLE_WORDINGS]


def parse_caption(text: str) -> SceneClaim | None:
    """Reads a caption of the grammar; None for any other text. Case and a final full stop do not matter."""
    words = " ".join(text.lower().strip().removesuffix(".").split())
    for pattern in _SINGLE_PATTERNS:
        if match := pattern.fullmatch(words):
            size, colour, kind = match.groups(default="")
            return SceneClaim((Thing(kind, colour, size),))
    for wording, pattern in _PAIR_PATTERNS:
        if match := pattern.fullmatch(words):
            groups = list(match.groups(default=""))
            phrase = groups.pop(0 if wording.startswith("{relation}") else 3)
            said = [Thing(kind, colour, size) for size, colour, kind in (groups[:3], groups[3:])]
            relation, backward = _MEANING[phrase]
            # Both turn the order: naming the second thing first, and saying the relation from its side.
            swap = wording.startswith("{relation}") != backward
            return SceneClaim(tuple(said[::-1] if swap else said), relation)
    return None


def judge(claim: SceneClaim | None, facts: SceneClaim) -> Judgement:
    """Compares a parsed caption with the facts of its picture.

    Claimed things are paired with real ones so that most colours agree, then most kinds, then the
    relation: two swapped objects are a wrong relation, two swapped kinds are wrong kinds.
    """
    if claim is None or len(claim.things) != len(facts.things):
        return Judgement(False, False, False, False)

    def outcome(order: tuple[int, ...]) -> tuple[int, int, bool, bool]:
        pairs = [(claim.things[place], real) for place, real in zip(order, facts.things, strict=True)]
        return (
            sum(said.colour == real.colour for said, real in pairs),
            sum(said.kind == real.kind for said, real in pairs),
            claim.relation == facts.relation and order == tuple(range(len(order))),
            all(said.size in ("", real.size) for said, real in pairs),
        )

    colours, kinds, relation, sizes = max(
        outcome(order) for order in itertools.permutations(range(len(facts.things)))
    )
    count = len(facts.things)
    return Judgement(
        colours == count,
        kinds == count,
        relation,
        colours == count and kinds == count and relation and sizes,
    )
