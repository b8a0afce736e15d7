"""What files take on disk."""

from pathlib import Path


def bytes_of(path: Path) -> int:
    """Bytes of a file, or of everything in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(x.stat().st_size for x in files if x.is_file())
