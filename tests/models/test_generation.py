"""Search on a lattice solved by hand, and the rules of what may follow what."""

import numpy as np
import pytest
import tensorflow as tf

from models.features import ACTION_WORDS, MASK_ID, START_ID, STOP_ID
from models.generation.beam import beam_search
from models.generation.greedy import greedy_search
from models.generation.rules import IMPOSSIBLE, Rules

WORDS = (*ACTION_WORDS, "a", "b", "c", "d")
V = len(WORDS)
STOP = WORDS[STOP_ID]

# What follows each beginning. Written out, with the probability of the whole caption and, for a length
# penalty of 1, the mean log-probability of a word:
#
#   a 0.5 ── STOP 0.3                        "a"      0.150   -0.95
#     ├──── b 0.4 ── STOP 0.25               "a b"    0.050   -1.00
#     │       ├───── c 0.4 ── STOP 1         "a b c"  0.080   -0.63   <- greedy
#     │       └───── d 0.35 ─ STOP 1         "a b d"  0.070   -0.66
#     └──── c 0.3 ── STOP 0.7                "a c"    0.105   -0.75
#             └───── d 0.3 ── STOP 1         "a c d"  0.045   -0.78
#   b 0.3 ── STOP 0.6                        "b"      0.180   -0.86   <- the likeliest
#     └──── c 0.4 ── STOP 1                  "b c"    0.120   -0.71
#   c 0.2 ── STOP 0.05                       "c"      0.010   -2.30
#     └──── d 0.95 ─ STOP 0.9                "c d"    0.171   -0.59   <- the best for its length
#             └───── a 0.1 ── STOP 1         "c d a"  0.019   -0.99
LATTICE = {
    "": {"a": 0.5, "b": 0.3, "c": 0.2},
    "a": {STOP: 0.3, "b": 0.4, "c": 0.3},
    "a b": {STOP: 0.25, "c": 0.4, "d": 0.35},
    "a b c": {STOP: 1.0},
    "a b d": {STOP: 1.0},
    "a c": {STOP: 0.7, "d": 0.3},
    "a c d": {STOP: 1.0},
    "b": {STOP: 0.6, "c": 0.4},
    "b c": {STOP: 1.0},
    "c": {STOP: 0.05, "d": 0.95},
    "c d": {STOP: 0.9, "a": 0.1},
    "c d a": {STOP: 1.0},
}


class Lattice:
    """A model whose next word depends on its state alone: the place in the lattice, moved by each word.

    So a search that does not carry the state along with its beams reads the wrong row of the table. Whatever
    is not in the lattice leads to a place that offers "d" and STOP, likelier than anything in the lattice.
    """

    def __init__(self) -> None:
        places = [*LATTICE, "nowhere"]
        self.log_probs = np.full((len(places), V), np.log(1e-9), np.float32)
        self.next = np.full((len(places), V), places.index("nowhere"), np.int32)
        self.next[places.index(""), START_ID] = places.index("")
        for place, follows in LATTICE.items():
            for word, probability in follows.items():
                self.log_probs[places.index(place), WORDS.index(word)] = np.log(probability)
                after = f"{place} {word}".strip()
                if after in places:
                    self.next[places.index(place), WORDS.index(word)] = places.index(after)
        self.log_probs[-1, [WORDS.index("d"), STOP_ID]] = np.log([0.5, 0.5])

    def state(self, batch: int) -> dict[str, tf.Tensor]:
        return {"place": tf.zeros([batch, 1], tf.int32)}

    def step(self, ids, index, state):
        place = tf.gather_nd(self.next, tf.stack([state["place"][:, 0], ids], axis=1))
        return tf.gather(self.log_probs, place), {"place": place[:, None]}


def search(width: int, length_penalty: float, max_tokens: int = 4) -> list[tuple[str, float]]:
    """Captions with the STOP they end with, and probabilities."""
    lattice = Lattice()
    ids, log_probs = beam_search(
        lattice.step, lattice.state(1), tf.constant(1), width, length_penalty, Rules(max_tokens)
    )
    return texts(ids, log_probs)


def texts(ids: tf.Tensor, log_probs: tf.Tensor) -> list[tuple[str, float]]:
    captions = [" ".join(WORDS[word] for word in row if word != MASK_ID) for row in ids[0].numpy()]
    return list(zip(captions, np.exp(log_probs[0].numpy().astype(np.float64)).round(4).tolist(), strict=True))


def test_greedy_search_takes_the_likeliest_word_each_time():
    lattice = Lattice()
    ids, log_probs = greedy_search(lattice.step, lattice.state(1), tf.constant(1), Rules(4))
    assert texts(ids, log_probs) == [("a b c {STOP}", 0.08)]
    assert ids.shape == (1, 1, 5)


def test_a_beam_of_three_finds_the_likeliest_captions():
    # "a STOP" (0.15) is likelier than "a b c STOP", but is the fifth of the second step ("a b" 0.2,
    # "c d" 0.19, "b STOP" 0.18 are kept): STOP competes with the words, as in a beam of one.
    found = [("b {STOP}", 0.18), ("c d {STOP}", 0.171), ("a b c {STOP}", 0.08)]
    assert search(width=3, length_penalty=0.0) == found


def test_a_length_penalty_of_one_ranks_by_the_mean_over_words_and_stop():
    found = [("c d {STOP}", 0.171), ("a b c {STOP}", 0.08), ("a b d {STOP}", 0.07)]
    assert search(width=3, length_penalty=1.0) == found


def test_a_narrower_beam_does_not_see_what_starts_unlikely():
    assert search(width=2, length_penalty=0.0)[0] == ("b {STOP}", 0.18)
    assert "c d {STOP}" not in dict(search(width=2, length_penalty=1.0))


def test_the_longest_caption_must_stop_whatever_that_costs():
    captions = dict(search(width=3, length_penalty=0.0, max_tokens=1))
    assert captions == {"b {STOP}": 0.18, "a {STOP}": 0.15, "c {STOP}": 0.01}


def test_beams_that_no_caption_fills_are_empty_and_last():
    lattice = Lattice()
    ids, log_probs = beam_search(lattice.step, lattice.state(1), tf.constant(1), 6, 1.0, Rules(1))
    assert np.all(ids[0, 4:] == MASK_ID)
    assert np.all(log_probs[0, 4:] == IMPOSSIBLE)
    assert np.all(log_probs[0, :4] > IMPOSSIBLE / 2)


def test_images_that_end_early_do_not_disturb_those_that_go_on():
    """One image's captions stop after a word, the other's go on: each is as it is alone."""
    lattice = Lattice()
    nowhere = len(LATTICE)
    together = {"place": tf.constant([[0], [nowhere], [0]])}
    ids, log_probs = beam_search(lattice.step, together, tf.constant(3), 3, 1.0, Rules(4))
    for row, place in enumerate([0, nowhere, 0]):
        state = {"place": tf.constant([[place]])}
        alone_ids, alone_log_probs = beam_search(lattice.step, state, tf.constant(1), 3, 1.0, Rules(4))
        np.testing.assert_array_equal(ids[row], alone_ids[0])
        np.testing.assert_array_equal(log_probs[row], alone_log_probs[0])
    greedy_ids, greedy_log_probs = greedy_search(lattice.step, together, tf.constant(3), Rules(4))
    np.testing.assert_allclose(np.exp(greedy_log_probs[:, 0]), [0.08, 0.25, 0.08], rtol=1e-5)
    assert WORDS[greedy_ids[0, 0, 0]] == "a"
    assert WORDS[greedy_ids[1, 0, 0]] == "d"
    np.testing.assert_array_equal(greedy_ids[1, 0, 1:], [STOP_ID, MASK_ID, MASK_ID, MASK_ID])


def test_an_empty_batch_gives_no_captions():
    lattice = Lattice()
    ids, log_probs = beam_search(lattice.step, lattice.state(0), tf.constant(0), 3, 1.0, Rules(4))
    assert (ids.shape, log_probs.shape) == ((0, 3, 5), (0, 3))
    ids, log_probs = greedy_search(lattice.step, lattice.state(0), tf.constant(0), Rules(4))
    assert (ids.shape, log_probs.shape) == ((0, 1, 5), (0, 1))


@pytest.mark.parametrize(
    ("previous", "index", "allowed"),
    [
        pytest.param(START_ID, 0, {5, 6, 7, 8}, id="first a word, not STOP"),
        pytest.param(6, 1, {STOP_ID, 5, 7, 8}, id="then STOP or another word than the one before"),
        pytest.param(6, 2, {STOP_ID, 5, 7, 8}, id="so too before the last word"),
        pytest.param(6, 3, {STOP_ID}, id="after max_tokens words nothing but STOP"),
        pytest.param(STOP_ID, 3, set(), id="and no second STOP"),
    ],
)
def test_what_may_follow(previous, index, allowed):
    log_probs = tf.constant(np.log(np.arange(1, V + 1) / 45)[None], tf.float32)
    ruled = Rules(max_tokens=3).apply(log_probs, tf.constant([previous]), tf.constant(index)).numpy()[0]
    assert {word for word in range(V) if ruled[word] > IMPOSSIBLE / 2} == allowed
    for word in allowed:
        assert ruled[word] == log_probs[0, word], "what may follow keeps its log-probability"
