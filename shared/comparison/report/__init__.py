"""A report on several runs: one self-contained page or file, in the format of its ending."""

from shared.comparison.report.content import make_report
from shared.comparison.report.write import ENDINGS, write, write_report

__all__ = ["ENDINGS", "make_report", "write", "write_report"]
