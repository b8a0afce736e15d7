"""The three mazes of D4RL's maze2d and antmaze, as grids of free cells and walls."""

from collections import deque
from dataclasses import dataclass

Cell = tuple[int, int]
"""(row, column), counted from the upper left corner, walls included."""

_STEPS = ((-1, 0), (1, 0), (0, -1), (0, 1))


@dataclass(frozen=True)
class Maze:
    """A grid of cells; `rows` holds one text a row, `#` is a wall and `.` is free."""

    rows: tuple[str, ...]

    @property
    def height(self) -> int:
        """Number of rows."""
        return len(self.rows)

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.rows[0])

    def cells(self, kind: str) -> tuple[Cell, ...]:
        """All cells of one kind, `#` or `.`, row by row."""
        return tuple(
            (i, j) for i, row in enumerate(self.rows) for j, x in enumerate(row) if x == kind
        )

    def is_free(self, cell: Cell) -> bool:
        """Whether the cell lies inside the grid and is no wall."""
        i, j = cell
        return 0 <= i < self.height and 0 <= j < self.width and self.rows[i][j] == "."

    def path(self, start: Cell, goal: Cell) -> tuple[Cell, ...]:
        """The cells of a shortest way, without `start` and with `goal`.

        Raises:
            ValueError: no way leads from one to the other.
        """
        # Searched from the goal, so that every cell knows the next one on its way there.
        following: dict[Cell, Cell] = {goal: goal}
        queue = deque([goal])
        while queue and start not in following:
            cell = queue.popleft()
            for di, dj in _STEPS:
                neighbor = (cell[0] + di, cell[1] + dj)
                if self.is_free(neighbor) and neighbor not in following:
                    following[neighbor] = cell
                    queue.append(neighbor)
        if start not in following:
            raise ValueError(f"no way leads from cell {start} to cell {goal}")
        way = [following[start]]
        while way[-1] != goal:
            way.append(following[way[-1]])
        return tuple(way)


UMAZE = Maze(
    (
        "#####",
        "#...#",
        "###.#",
        "#...#",
        "#####",
    )
)
MEDIUM = Maze(
    (
        "########",
        "#..##..#",
        "#..#...#",
        "##...###",
        "#..#...#",
        "#.#..#.#",
        "#...#..#",
        "########",
    )
)
LARGE = Maze(
    (
        "############",
        "#....#.....#",
        "#.##.#.#.#.#",
        "#......#...#",
        "#.####.###.#",
        "#..#.#.....#",
        "##.#.#.#.###",
        "#..#...#...#",
        "############",
    )
)
