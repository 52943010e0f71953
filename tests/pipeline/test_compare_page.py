"""The page of a comparison, from made-up results."""

import html.parser
import io
import math
import pathlib
import re
import xml.etree.ElementTree

import numpy as np
import pytest
from PIL import Image

from pipeline.compare import page, pictures, tables
from pipeline.compare.leaderboard import METRICS, Leaderboard, rank
from pipeline.compare.pictures import Answer, Picture, Word
from pipeline.compare.plan import Contender
from pipeline.compare.results import Failure, Result

PIXEL = "data:image/png;base64,AAAA"
SVG = "{http://www.w3.org/2000/svg}"


def result(decoder: str, seed: int, cider_d: float, preset: str = "default") -> Result:
    metrics = {column.key: 1.0 for column in METRICS} | {"cider_d": cider_d}
    epochs = [{"epoch": epoch, "eval_loss": 4.0 / epoch + seed} for epoch in (1, 2, 3)]
    return Result(Contender(decoder, preset, "hybrid", "one_hot"), seed, metrics, epochs, "model")


def board() -> Leaderboard:
    return rank(
        [
            result("gru", 1, 0.51),
            result("gru", 2, 0.52),
            result("gru", 1, 0.2, "talk2017"),
            result("transformer", 1, 0.53),
        ],
        [Failure(Contender("gated_cnn", "default", "hybrid", "hybrid"), 1, "the loss is <nan>")],
    )


def write(tmp_path: pathlib.Path, *shown: Picture) -> str:
    path = tmp_path / "new" / "compare.html"
    page.write(path, "Comparison", board(), shown)
    return path.read_text("utf-8")


def picture(best: str = "a dog", words: tuple[Word, ...] = ()) -> Picture:
    answers = {row.contender.name: Answer(best, ["a cat", "a cow"], words) for row in board().rows}
    return Picture("id-1", PIXEL, ["a black dog", "the dog runs"], answers)


class Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.urls += [value or "" for name, value in attrs if name in ("src", "href")]
        self.urls += [
            url
            for name, value in attrs
            if name == "style"
            for url in re.findall(r"url\(([^)]*)\)", value or "")
        ]


def test_the_page_needs_nothing_but_itself(tmp_path: pathlib.Path):
    text = write(tmp_path, picture(words=(Word("a", PIXEL),)))
    links = Links()
    links.feed(text)
    assert len(links.urls) >= 3
    assert all(url.startswith("data:") for url in links.urls)
    assert "@import" not in text
    assert "<script" not in text


def test_captions_and_reasons_are_text_and_never_markup(tmp_path: pathlib.Path):
    text = write(tmp_path, picture("<script>x</script>"))
    assert "<script>" not in text
    assert "&lt;script&gt;x" in text
    assert "the loss is &lt;nan&gt;" in text


def test_every_contender_answers_every_picture(tmp_path: pathlib.Path):
    text = write(tmp_path, picture(), picture())
    assert text.count('<p class="best">a dog</p>') == 2 * 3
    assert text.count("<li>a cow</li>") == 2 * 3
    assert text.count("<li>the dog runs</li>") == 2
    assert "where it looked" not in text, "no decoder attends to regions"


def test_without_pictures_there_is_still_the_leaderboard(tmp_path: pathlib.Path):
    text = write(tmp_path)
    assert "<h2>Pictures</h2>" not in text
    assert text.index("transformer hybrid:one_hot") < text.index("gru talk2017 hybrid:one_hot")


def test_the_charts_show_every_run_and_every_contender(tmp_path: pathlib.Path):
    text = write(tmp_path)
    drawn = [
        xml.etree.ElementTree.fromstring(svg)
        for svg in re.findall(r"<svg [^>]*chart-svg.*?</svg>", text, flags=re.DOTALL)
    ]

    def marks(svg: xml.etree.ElementTree.Element, kind: str) -> list[xml.etree.ElementTree.Element]:
        groups = [
            group for group in svg.iter(f"{SVG}g") if f"mark-{kind} role-mark" in group.get("class", "")
        ]
        return [path for group in groups for path in group.iter(f"{SVG}path")]

    curves, *costs = drawn
    assert len(marks(curves, "line")) == 4, "one a run"
    for cost in costs:
        points = marks(cost, "symbol")
        assert len(points) == 3, "one a contender"
        assert len({(point.get("fill"), point.get("d")) for point in points}) == 3, "no two look alike"
        assert {text.text for text in cost.iter(f"{SVG}text")} >= {"1", "2", "3"}, "by their places"


def test_the_terminal_shows_the_same_rows(capsys: pytest.CaptureFixture[str]):
    tables.show(board())
    said = capsys.readouterr().out
    assert said.index("transformer hybrid:one_hot") < said.index("gru talk2017 hybrid:one_hot")
    assert "0.515 ± 0.007" in said
    assert "the loss is <nan>" in said


def test_values_that_are_no_numbers_are_left_out_of_a_chart(tmp_path: pathlib.Path):
    broken = result("gru", 1, math.nan)
    path = tmp_path / "compare.html"
    page.write(path, "Comparison", rank([broken, result("transformer", 1, 0.5)]), ())
    assert "NaN" not in path.read_text("utf-8")


def shade(word: Word) -> np.ndarray:
    """Darkness of each region, from 0."""
    import base64

    data = base64.b64decode(word.shade.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("LA"))[..., 1]


def test_a_shade_is_clear_where_the_decoder_looked_most():
    weights = np.array([[0.1, 0.2, 0.6, 0.1], [0.25, 0.25, 0.25, 0.25], [1, 0, 0, 0], [0, 0, 0, 0]])
    dog, runs = pictures.shaded(["dog", "runs", "{STOP}", ""], weights)
    assert (dog.text, runs.text) == ("dog", "runs")
    assert shade(dog).shape == (2, 2)
    assert shade(dog)[1, 0] == 0
    assert shade(dog)[0, 0] > shade(dog)[0, 1] > 0
    assert not shade(runs).any()


@pytest.mark.parametrize("regions", [1, 6])
def test_regions_that_are_no_grid_are_not_drawn(regions: int):
    assert pictures.shaded(["dog"], np.full((1, regions), 1 / regions)) == []


def test_of_two_seeds_the_first_is_asked_and_pictures_are_paired_by_content(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    import rich.console
    import tensorflow as tf

    from models import features as names

    def jpeg(grey: int) -> bytes:
        file = io.BytesIO()
        Image.new("RGB", (800, 400), (grey, grey, grey)).save(file, "jpeg")
        return file.getvalue()

    def write_split(folder: str, order: tuple[int, ...], key: str) -> str:
        (tmp_path / folder).mkdir()
        with tf.io.TFRecordWriter(str(tmp_path / folder / "part.gz"), "GZIP") as writer:
            for number in order:
                example = tf.train.Example()
                values = {
                    names.CONTENT_HASH: f"hash {number}".encode(),
                    names.IMAGE_ID: f"image {number}".encode(),
                    names.CAPTIONS: f"caption {number}".encode(),
                    key: jpeg(number) if key == names.IMAGE_ENCODED else b"features %d" % number,
                }
                for name, value in values.items():
                    example.features.feature[name].bytes_list.value.append(value)
                writer.write(example.SerializeToString())
        return str(tmp_path / folder)

    asked = []

    def ask(model: str, sources: list[pictures.Source]) -> list[Answer]:
        asked.append(model)
        return [Answer(source.features.decode(), []) for source in sources]

    monkeypatch.setattr(pictures, "ask", ask)
    contender = Contender("gru", "default", "hybrid", "one_hot")
    of = rank([Result(contender, seed, {"cider_d": 0.5}, [], f"model {seed}") for seed in (1, 2)])
    shown = pictures.captioned(
        of,
        write_split("examples", (3, 1, 2), names.IMAGE_ENCODED),
        write_split("features", (2, 1, 3), names.IMAGE_FEATURES),
        2,
        rich.console.Console(quiet=True),
    )
    assert asked == ["model 1"]
    assert [one.image_id for one in shown] == ["image 2", "image 1"]
    assert [one.answers[contender.name].best for one in shown] == ["features 2", "features 1"]
    assert shown[0].references == ("caption 2",)
    import base64

    photo = Image.open(io.BytesIO(base64.b64decode(shown[0].photo.partition(",")[2])))
    assert photo.size == (360, 180)
    assert photo.getpixel((5, 5)) == (2, 2, 2)
