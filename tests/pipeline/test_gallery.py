"""The page of pictures."""

import html.parser
import pathlib

from pipeline import gallery


class _Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.urls += [value or "" for name, value in attrs if name in ("src", "href")]


def _page(tmp_path: pathlib.Path, *pictures: gallery.Picture) -> str:
    path = tmp_path / "new" / "report.html"
    gallery.write(path, "Captions", ["Blessed."], pictures)
    return path.read_text("utf-8")


def test_the_page_needs_nothing_but_itself(tmp_path: pathlib.Path):
    links = _Links()
    links.feed(_page(tmp_path, gallery.Picture("a", b"\xff\xd8", ["a dog"], ["a black dog"])))
    assert links.urls
    assert all(url.startswith("data:") for url in links.urls)


def test_captions_are_text_and_never_markup(tmp_path: pathlib.Path):
    page = _page(tmp_path, gallery.Picture("a", b"", ["<script>x</script>"], ['"quoted" & more']))
    assert "<script>" not in page
    assert "&lt;script&gt;x" in page


def test_right_and_wrong_are_marked_only_where_they_are_known(tmp_path: pathlib.Path):
    def marks(correct: bool | None) -> list[str]:
        page = _page(tmp_path, gallery.Picture("a", b"", ["a dog"], [], correct))
        return [mark for mark in ('class="caption right"', 'class="caption wrong"') if mark in page]

    assert marks(True) == ['class="caption right"']
    assert marks(False) == ['class="caption wrong"']
    assert marks(None) == []
