"""One page on a data set: what it holds, what is wrong with it, and how it moves."""

from shared.health.content import ENDINGS, Health, health_of
from shared.health.write import write_health

__all__ = ["ENDINGS", "Health", "health_of", "write_health"]
