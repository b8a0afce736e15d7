"""Least squares from one table of products, for asking several questions of the same rows.

A threaded BLAS that shares its cores with other processes can be hundreds of times slower than
one thread, so the rows are multiplied without it.
"""

import numpy as np
from jaxtyping import Float


class Products:
    """Named blocks of columns, standardised, and all their products."""

    def __init__(self, **blocks: Float[np.ndarray, "rows _"]):
        self._places, columns, start = {}, [], 0
        for name, x in blocks.items():
            x = x.astype(np.float64)
            x = (x - x.mean(0)) / np.maximum(x.std(0), 1e-12)
            columns.append(x)
            self._places[name] = np.arange(start, start := start + x.shape[1])
        table = np.concatenate(columns, axis=1)
        self._products = np.einsum("ij,ik->jk", table, table) / len(table)  # without a BLAS

    def unexplained(self, target: str, *given: str) -> float:
        """Share of the variance of `target` (mean of its columns) that `given` leaves, linearly."""
        y = self._places[target]
        x = np.concatenate([self._places[name] for name in given])
        own, both = self._products[np.ix_(x, x)], self._products[np.ix_(x, y)]
        own = own + 1e-9 * np.eye(len(x))  # columns may repeat each other
        total = np.diagonal(self._products)[y]
        left = total - (both * np.linalg.solve(own, both)).sum(0)
        moving = total > 0.5
        return float(left[moving].mean()) if moving.any() else 1.0
