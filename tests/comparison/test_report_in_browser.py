"""The page of a report in a real browser: it fits, it is quiet, and it asks for nothing."""

import shutil
import struct
from itertools import product

import pytest

from shared.comparison import report
from shared.comparison.read import read_run

sync_api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs a browser: install the system package chromium"
)
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
LOOKS = list(product((360, 1440), ("light", "dark")))
# One black pixel; a browser shows it.
GIF = (
    b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    + b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00;"
)  # fmt: skip
LOOK_AT = """() => {
  const box = e => {
    const r = e.getBoundingClientRect();
    return [r.left, r.top, r.right, r.bottom];
  };
  const all = s => [...document.querySelectorAll(s)].filter(e => e.checkVisibility());
  const root = document.documentElement;
  const style = getComputedStyle(document.body);
  return {
    overflow: root.scrollWidth - root.clientWidth,
    plots: all('.plot').map(p => ({
      panels: [...p.querySelectorAll('.panel')].map(box),
      legend: [...p.querySelectorAll('.legend')].map(box)[0],
    })),
    tables: all('#summary table').map(t => t.scrollWidth - t.parentElement.clientWidth),
    cards: all('.card').length,
    words: all('.panel text').map(
      t => [t.getBoundingClientRect().height, getComputedStyle(t).fill]),
    ink: style.color, paper: style.backgroundColor,
    films: all('figure img').map(i => i.naturalWidth),
  };
}"""


@pytest.fixture(scope="module")
def page(make_run_once, tmp_path_factory):
    """Three algorithms, one with a long name, on two data sets; a film."""
    labels = (None, "C-LAP-flow, prior as policy, latent_clip=0.5", "plas")
    made = [
        make_run_once(f"{k}-{environment}", label=label, environment=environment)
        for k, label in enumerate(labels)
        for environment in ("hopper-medium", "walker2d-medium")
    ]
    (made[0].path / "film.gif").write_bytes(GIF)
    path = tmp_path_factory.mktemp("page") / "report.html"
    question = "Which of these policies is best, and how sure are we of that?"
    return report.write_report([read_run(run.path) for run in made], path, question=question)


@pytest.fixture(scope="module")
def seen(page):
    """(width, scheme) -> what the page looks like; one browser for all of it."""
    found, noise = {}, []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        for width, scheme in LOOKS:
            size = {"width": width, "height": 900}
            context = browser.new_context(viewport=size, color_scheme=scheme)
            tab = context.new_page()
            tab.on("console", lambda message: noise.append(message.text))
            tab.on("pageerror", lambda error: noise.append(str(error)))
            tab.on("request", lambda request: noise.append(request.url[:60]))
            tab.goto(page.as_uri())
            found[width, scheme] = tab.evaluate(LOOK_AT)
            if (width, scheme) == LOOKS[-1]:
                found["axes"] = _visible(tab), tab.click("label[for=axis-hours]"), _visible(tab)
                tab.click(".matrix a[href='#run-0']")
                found["opened"] = tab.locator("details.run[open]").count()
            context.close()
        browser.close()
    found["noise"] = [line for line in noise if not line.startswith("data:")]
    return found


def _visible(tab):
    names = ("updates", "hours")
    return [name for name in names if tab.locator(f"[data-axis={name}]").is_visible()]


def test_nothing_is_asked_for_and_nothing_is_complained_of(seen, page):
    assert seen["noise"] == [page.as_uri()[:60]] * len(LOOKS)


@pytest.mark.parametrize("look", LOOKS)
def test_the_page_fits_its_screen(seen, look):
    found = seen[look]
    assert found["overflow"] == 0
    assert found["tables"] and max(found["tables"]) <= 0
    assert found["cards"] == (0 if look[0] == 1440 else 3)  # two data sets, and all of them
    assert found["films"] == [1]


@pytest.mark.parametrize("look", LOOKS)
def test_no_legend_lies_on_a_panel(seen, look):
    plots = seen[look]["plots"]
    assert len(plots) >= 4
    for plot in plots:
        boxes = [*plot["panels"], *([plot["legend"]] if plot["legend"] else [])]
        for k, (left, top, right, bottom) in enumerate(boxes):
            assert right - left > 100 and bottom - top > 20
            for other in boxes[k + 1 :]:
                apart = right <= other[0] + 1 or other[2] <= left + 1
                assert apart or bottom <= other[1] + 1 or other[3] <= top + 1
    beside = plots[0]["legend"][0] >= max(right for _, _, right, _ in plots[0]["panels"])
    assert beside == (look[0] == 1440)


@pytest.mark.parametrize("look", LOOKS)
def test_words_can_be_read(seen, look):
    found = seen[look]
    assert contrast(found["ink"], found["paper"]) > 7
    assert len(found["words"]) > 50
    for height, color in found["words"]:
        assert height >= 8 and contrast(color, found["paper"]) > 4.5
    assert (found["paper"] == "rgb(255, 255, 255)") == (look[1] == "light")


def test_tabs_and_numbers_work_without_a_script(seen):
    before, _, after = seen["axes"]
    assert (before, after) == (["updates"], ["hours"])
    assert seen["opened"] == 1


def contrast(first: str, second: str) -> float:
    """Of two CSS colors, `rgb(r, g, b)`, by the Web Content Accessibility Guidelines."""
    lights = []
    for color in (first, second):
        parts = [int(x) / 255 for x in color.strip("rgb()").split(",")]
        parts = [x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
        lights.append(0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)
