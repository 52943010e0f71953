"""A page in headless Chromium: what its console says, and what axe-core finds."""

import dataclasses
import html
import importlib.resources
import json
import pathlib
import re
import shutil
import subprocess
import tempfile

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

_ASK = """
<script>%s</script>
<script>
addEventListener("load", async () => {
  const found = {width: document.documentElement.scrollWidth, broken: [], violations: []};
  for (const image of document.images) {
    image.loading = "eager";
    if (!image.complete) await new Promise(done => { image.onload = image.onerror = done; });
    if (!image.naturalWidth) found.broken.push(image.alt);
  }
  const result = await axe.run();
  found.violations = result.violations.map(({id, impact, nodes}) =>
    ({id, impact, where: nodes.slice(0, 3).map(node => node.html.slice(0, 200))}));
  const answer = document.createElement("pre");
  answer.id = "answer";
  answer.textContent = JSON.stringify(found);
  document.body.append(answer);
});
</script>
"""


@dataclasses.dataclass
class Seen:
    """What the browser made of a page.

    Attributes:
      console: its messages.
      violations: axe-core's: id, impact, and where.
      broken: images that cannot be shown, by their text.
      width: of what is on the page, in CSS pixels.
    """

    console: list[str]
    violations: list[dict]
    broken: list[str]
    width: int

    @property
    def serious(self) -> list[dict]:
        return [one for one in self.violations if one["impact"] in ("serious", "critical")]


def look(page: pathlib.Path, width: int = 1200, dark: bool = False) -> Seen:
    """Opens the page in a window of `width` CSS pixels."""
    assert CHROMIUM is not None
    axe = importlib.resources.files("axe_core_python").joinpath("axe.min.js").read_text("utf-8")
    source = page.read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder:
        probe = pathlib.Path(folder, "page.html")
        # Not by str.replace on "</head>": a caption may hold anything.
        probe.write_text(source + _ASK % axe.replace("</script", "<\\/script"), encoding="utf-8")
        command = [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            f"--user-data-dir={folder}/profile",
            f"--window-size={width},900",
            "--virtual-time-budget=30000",
            *(["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if dark else []),
            "--dump-dom",
            probe.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    answer = re.search(r'<pre id="answer">(.*?)</pre>', done.stdout, flags=re.DOTALL)
    assert answer is not None, done.stderr[-2000:]
    console = re.findall(r":CONSOLE[^\]]*\] (.*)", done.stderr)
    return Seen(console=console, **json.loads(html.unescape(answer[1])))
