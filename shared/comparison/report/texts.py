"""A report as Markdown, and its summary table as LaTeX."""

from pathlib import Path

from shared.comparison.cost import CAPTION, COLUMNS, cost_cells
from shared.comparison.exports import markdown_table
from shared.comparison.report.content import Report
from shared.comparison.report.details import details_of
from shared.comparison.report.matrix import Cell, Matrix
from shared.comparison.summary import summary_markdown

REPORTED = (
    "Reported lines are figures of others, on their data and by their protocol; they are in no "
    "statistic. Data lines: the behaviour data themselves."
)
SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def write_markdown(report: Report, path: Path) -> None:
    """Summary, rows, averages, pairs, costs, published sources and runs as one Markdown page."""
    parts = [
        f"# {report.title}",
        report.question,
        f"## Summary ({report.mode} policies)",
        *(_markdown_matrix(matrix) for matrix in report.matrices),
        REPORTED,
        "## Scores",
        summary_markdown(report.summary),
        "## Cost",
        markdown_table(COLUMNS, map(cost_cells, report.costs), left=2),
        CAPTION,
        *_markdown_sources(report),
        "## Runs",
        *_markdown_runs(report),
    ]
    text = "\n\n".join(part.strip() for part in parts if part.strip())
    path.write_text(text + "\n", encoding="utf-8")


def _markdown_matrix(matrix: Matrix) -> str:
    def text(cell: Cell | None) -> str:
        return "" if cell is None else " ".join(filter(None, (cell.value, cell.spread)))

    rows = [
        (
            f"{line.label} ({line.kind})" if line.kind == "reported" else line.label,
            *map(text, line.cells),
        )
        for line in matrix.lines
    ]
    return markdown_table(("", *matrix.columns), rows, left=1)


def _markdown_sources(report: Report) -> list[str]:
    sources = dict.fromkeys(figure.source for figure in report.reported)
    columns = ("reported by", "where", "data", "protocol", "seeds", "±")
    rows = [
        (
            s.name,
            f"{s.title} ({s.address})",
            s.data,
            s.protocol,
            str(s.seeds or "n/a"),
            s.interval or "",
        )
        for s in sources
    ]
    return ["## Reported figures", markdown_table(columns, rows, left=6)] if rows else []


def _markdown_runs(report: Report) -> list[str]:
    parts = []
    for run in details_of(report.runs):
        commands = [f"# {f.place}, commit {f.commit}\n{f.command}" for f in run.folders]
        facts = [f"- {name}: {text}" for name, text in run.facts]
        parts += [f"### {run.title}", "\n".join(facts), "```sh\n" + "\n".join(commands) + "\n```"]
    return parts


def write_latex(report: Report, path: Path) -> None:
    r"""The summary as `tabular`s with rules of the package booktabs, to be `\input`."""
    lines = [f"% {report.title}; needs \\usepackage{{booktabs}}"]
    for matrix in report.matrices:
        lines += [
            r"\begin{tabular}{l" + "r" * len(matrix.columns) + "}",
            r"\toprule",
            " & ".join(["", *map(latex, matrix.columns)]) + r" \\",
            r"\midrule",
        ]
        kind = matrix.lines[0].kind
        for line in matrix.lines:
            lines += [r"\midrule"] if line.kind != kind else []
            kind = line.kind
            name = f"{line.label}, reported" if kind == "reported" else line.label
            lines.append(" & ".join([latex(name), *map(_latex_cell, line.cells)]) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _latex_cell(cell: Cell | None) -> str:
    if cell is None:
        return "--"
    value = latex(cell.value).replace("-", "$-$")
    value = rf"\textbf{{{value}}}" if cell.best else value
    return rf"{value} {{\scriptsize {latex(cell.spread)}}}" if cell.spread else value


def latex(text: str) -> str:
    """A text that LaTeX shows as it is."""
    return "".join(SPECIAL.get(c, c) for c in text)
