"""A report says what the runs say, in every format, and the same bytes each time."""

import csv
import json
import re
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

from shared.cli.compare import ENDINGS, compare
from shared.comparison import report
from shared.comparison.cost import cost_of, told_bytes, told_hours
from shared.comparison.read import read_run
from shared.comparison.record import pool
from shared.comparison.report.films import LARGEST
from shared.comparison.report.matrix import ALL
from shared.comparison.report.texts import latex
from shared.comparison.sweeps import find_sweeps
from shared.errors import ConfigError, RunError

FILM = b"GIF89a" + bytes(20)


def recorded(made, **record):
    made.record |= {
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "parameters": 1234,
        "usage": {"seconds": 100.0, "cpu_seconds": 150.0, "peak_memory": 2_000_000_000},
        **record,
    }
    made.record["data"]["p90_return"] = 1000.0
    made.write()
    return made


@pytest.fixture(scope="module")
def runs(make_run_once):
    """Three algorithms on two data sets, one of them with a swept value, and two films."""
    made = [
        recorded(make_run_once("a")),
        recorded(make_run_once("b", label="plas <fast> & 100 %", final={0: 30.0, 1: 35.0})),
        recorded(make_run_once("c", environment="walker2d-medium", final={0: 60.0, 1: 70.0})),
        recorded(make_run_once("d", environment="walker2d-medium", label="plas <fast> & 100 %")),
    ]
    for k, value in enumerate((0.9, 0.95)):
        run = recorded(make_run_once(f"sweep{k}", label=f"cnf, discount={value}"))
        run.config["hyperparameters"]["discount"] = value
        run.write()
        made.append(run)
    (made[0].path / "film.gif").write_bytes(FILM)
    (made[1].path / "film.gif").write_bytes(bytes(LARGEST + 1))
    return [read_run(run.path) for run in made]


class Page(HTMLParser):
    """Ids, links within the page, other addresses, and tags that are open at the end."""

    VOID = {"meta", "link", "input", "img", "br"}

    def __init__(self, text):
        super().__init__()
        self.ids, self.inner, self.outer, self.open, self.tags = [], set(), set(), [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.open += [] if tag in self.VOID else [tag]
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "src", "data", "action", "poster"):
                (self.inner if value.startswith("#") else self.outer).add(value)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "r.html"
    return report.write_report(runs, path, title="A <b>", question="Which & why?").read_text()


@pytest.mark.wheel
def test_the_page_is_whole_and_needs_nothing_else(page):
    parsed = Page(page)
    assert not parsed.open and "script" not in parsed.tags
    assert len(set(parsed.ids)) == len(parsed.ids)
    assert {link.removeprefix("#") for link in parsed.inner} <= set(parsed.ids)
    assert all(address.startswith("data:") for address in parsed.outer)
    assert not re.search(r"url\((?!#)|@import|https?://", page)
    assert "default-src 'none'" in page


def test_what_users_wrote_is_shown_and_not_obeyed(page):
    assert "A &lt;b&gt;" in page and "Which &amp; why?" in page
    assert "plas &lt;fast&gt; &amp; 100 %" in page and "<fast>" not in page


def test_every_number_leads_to_its_run(page):
    cells = re.findall(r'<a href="#(run-\d+)">([\d.]+)</a>', page)
    assert ("run-0", "45.0") in cells and ("run-2", "65.0") in cells
    inside = page.split('id="run-0"')[1].split("</details>")[0]
    for known in (
        "cnf train --env hopper-medium --out /somewhere/private",
        "commit <code>0123456789abcdef0123456789abcdef01234567",
        "1234abcd" * 8,
        '<div class="differs"><dt>discount</dt><dd>0.99',
        "<dt>hidden</dt><dd>[64,64]",
        "<dt>episodes</dt><dd>3",
        "Folder <b>a</b>, seeds 0, 1",
    ):
        assert known in inside
    assert "Linux-private" not in page  # a machine's kernel is nobody's business


def test_the_summary_marks_what_is_no_run(runs):
    made = report.make_report(runs)
    (matrix,) = made.matrices
    lines = {line.label: line for line in matrix.lines}
    assert matrix.columns == ("hopper-medium", "walker2d-medium")  # the sweeps are in one alone
    assert lines["cnf"].cells[1].value == "65.0" and lines["cnf"].cells[1].best
    assert lines["data, collected: mean"].cells[0].value == "35.0"
    p90 = lines["data, collected: 90 % of episodes below"].cells[0].value
    assert p90 == f"{(1000 + 20.272305) / 32.54572305:.1f}"
    reported = lines["cnf, CNF paper"]
    assert reported.kind == "reported" and reported.cells[0].value == "69.3"
    assert (reported.cells[0].spread, reported.cells[0].seeds) == ("± 1.0", 3)
    assert [line.kind for line in matrix.lines] == sorted(
        (line.kind for line in matrix.lines), key=["measured", "data", "reported"].index
    )
    four = report.make_report(runs[:4])
    assert four.matrices[0].columns[-1] == ALL
    # Of 40, 50, 60 and 70 the lowest and the highest are dropped.
    assert four.matrices[0].lines[0].cells[-1].value == "55.0"


def test_published_figures_are_in_no_statistic(runs, monkeypatch):
    with_them = report.make_report(runs)
    monkeypatch.setattr("shared.comparison.report.content.figures_for", lambda *_: [])
    without = report.make_report(runs)
    assert with_them.summary == without.summary and with_them.reported
    assert not any(line.kind == "reported" for line in without.matrices[0].lines)


def test_many_data_sets_go_on_below(make_run):
    names = [f"hopper-{k}" for k in range(9)]
    runs = [read_run(make_run(name, environment=name).path) for name in names]
    first, second = report.make_report(runs).matrices
    assert first.columns + second.columns == (*names, ALL) and len(first.columns) == 7


def test_films_are_embedded_if_they_are_small(page):
    assert page.count("data:image/gif;base64,R0lGODlh") == 1
    assert "film.gif, 2.0 MB, too large" in page


def test_a_swept_value_is_found(runs):
    (sweep,) = find_sweeps(pool(runs), "deterministic")
    assert (sweep.environment, sweep.name) == ("hopper-medium", "discount")
    assert (sweep.label, sweep.values) == ("cnf", (0.9, 0.95, 0.99))
    assert [run.label for run in sweep.runs] == ["cnf, discount=0.9", "cnf, discount=0.95", "cnf"]


def test_what_a_run_cost(runs):
    cost = cost_of(pool(runs)[0])
    seconds = 10 * 0.5 + 3 * 0.9  # see conftest; of both seeds at once
    assert cost.hours * 3600 == pytest.approx(seconds)
    assert cost.cpu_hours * 3600 == pytest.approx(1.5 * seconds)
    assert list(report.make_report(runs[:1]).curves) == ["updates", "hours", "cpu-hours"]
    assert (cost.updates, cost.memory, cost.parameters) == (6000, 2_000_000_000, 1234)
    assert [told_hours(x) for x in (None, 0.01, 0.5, 12.34)] == ["n/a", "36 s", "30 min", "12.3 h"]
    assert [told_bytes(x) for x in (None, 3_500_000, 2_000_000_000)] == ["n/a", "4 MB", "2 GB"]


def test_older_runs_have_no_cpu_time(make_run):
    run = read_run(make_run("old").path)
    made = report.make_report([run])
    assert list(made.curves) == ["updates", "hours"]
    assert made.costs[0].cpu_hours is None and run.origins[0].commit is None


@pytest.mark.long
def test_every_format_repeats_byte_for_byte(make_run, tmp_path):
    made = [recorded(make_run("a")), recorded(make_run("b", label="50 % ±"))]
    reports = [report.make_report([read_run(run.path) for run in made]) for _ in range(2)]
    for ending in ENDINGS:
        files = [tmp_path / f"{k}{ending}" for k in (1, 2)]
        first, second = (
            report.write(*pair).read_bytes() for pair in zip(reports, files, strict=True)
        )
        assert first == second and len(first) > 200, ending
    tex = (tmp_path / "1.tex").read_text()
    assert r"50 \% $\pm$ & \textbf{45.0} {\scriptsize [40.0, 50.0]} \\" in tex
    assert tex.count("{") == tex.count("}")
    assert (tmp_path / "1.pdf").read_bytes().startswith(b"%PDF")
    assert "## Reported figures" in (tmp_path / "1.md").read_text()
    assert len(json.loads((tmp_path / "1.json").read_text())["rows"]) == 4
    assert len(list(csv.reader((tmp_path / "1.csv").read_text().splitlines()))) == 5


def test_an_unknown_ending_and_runs_without_scores_are_one_sentence(make_run, tmp_path):
    run = read_run(make_run("a", steps=()).path)
    with pytest.raises(ConfigError, match=r"ending '\.docx'; take one of \.html"):
        report.write_report([run], tmp_path / "r.docx")
    with pytest.raises(RunError, match="no evaluation yet"):
        report.write_report([run], tmp_path / "r.html")
    assert not list(tmp_path.glob("r.*"))


def test_the_endings_of_the_command_are_those_of_the_report():
    assert ENDINGS == report.ENDINGS


def test_compare_writes_several_files_and_prints_published_figures(make_run, tmp_path):
    make_run("a")
    outs = [tmp_path / name for name in ("r.tex", "r.csv")]
    words = [word for out in outs for word in ("--out", str(out))]
    result = CliRunner().invoke(compare, [str(tmp_path / "runs"), *words, "--published"])
    assert result.exception is None, result.output
    assert all(out.is_file() for out in outs)
    assert re.search(r"cnf, CNF paper +69\.3 +± 1\.0 +3", result.output)


@pytest.mark.parametrize(
    ("text", "shown"), [("a_b & 5 %", r"a\_b \& 5 \%"), ("x<y", r"x\textless{}y")]
)
def test_latex(text, shown):
    assert latex(text) == shown
