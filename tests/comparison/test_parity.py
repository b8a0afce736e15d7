"""The page that sets two implementations side by side, from given returns."""

import csv

from shared.comparison.parity import Comparison, interval, write_parity
from shared.comparison.read import read_run


def test_the_page_tells_who_agrees(make_run, tmp_path):
    same, other, alone = (read_run(make_run(name, algorithm=name).path) for name in "abc")
    versions = {"torch": "2.5", "platform": "Linux-private"}
    ours = {0: [100.0, 120.0], 1: [200.0], 2: [300.0]}
    losses = {"bc_loss": 0.123456}
    far = {0: [1000.0], 1: [1100.0], 2: [1200.0]}
    found = [
        Comparison(same, ours, "peer", {0: [140.0], 1: [180.0], 2: [500.0]}, versions, losses),
        Comparison(other, ours, "peer", far, versions, losses),
        Comparison(alone, ours, "peer", {0: [1.0]}, versions, losses),
    ]
    assert [c.overlap for c in found] == [True, False, None]
    low, high = interval(ours) or (0, 0)
    assert 110 <= low < 610 / 3 < high <= 300

    commands = ["cnf train --algo a"]
    path = tmp_path / "docs" / "page.md"
    text = write_parity(found, path, title="T", commands=commands, notes=["A note."]).read_text()
    assert text.startswith("# T\n\nA note.\n\n## Returns\n")
    answers = [line.split("|")[-2].strip() for line in text.splitlines() if "| 5,000 |" in line]
    assert answers == ["yes", "yes", "no", "no", "n/a (1 seed)", "n/a (1 seed)"]
    for needed in (
        "110.0, 200.0, 300.0",
        "discount 0.99",
        "1234abcd" * 8,
        "| 2.5 |",
        "| q 1.5 |",
        "| bc_loss 0.1235 |",
        *commands,
    ):
        assert needed in text
    assert "private" not in text and str(tmp_path) not in text

    with (path.parent / "page-returns.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["return"]) for row in rows[:4]] == [100.0, 120.0, 200.0, 300.0]
    assert len(rows) == 4 + 3 + 4 + 3 + 4 + 1
