"""Mutated files either read or raise `DataError`; nothing else, and nothing hangs."""

import numpy as np
import pytest

from shared.data.d4rl import read_d4rl
from shared.errors import DataError

STORAGE = {
    "plain": {},
    "gzip": {"compression": "gzip", "chunks": True},
    "checksummed": {"fletcher32": True, "chunks": True},
}


def mutate(content: bytes, generator: np.random.Generator) -> bytes:
    """Flip bits, overwrite a stretch, cut or repeat a piece; mostly near the headers."""
    data = bytearray(content)
    kind = generator.integers(4)
    span = len(data) if generator.random() < 0.4 else min(len(data), 4000)
    place = int(generator.integers(span))
    if kind == 0:
        for _ in range(int(generator.integers(1, 20))):
            data[int(generator.integers(span))] ^= 1 << int(generator.integers(8))
    elif kind == 1:
        length = int(generator.integers(1, 9))
        data[place : place + length] = generator.integers(0, 256, length, np.uint8).tobytes()
    elif kind == 2:
        del data[place : place + int(generator.integers(1, 200))]
    else:
        data[place : place + 8] = generator.choice([0, 0xFF, 0x7F]).astype(np.uint8).tobytes() * 8
    return bytes(data)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("storage", STORAGE)
def test_mutated_files(write, arrays, storage):
    # An attribute of fixed length, read in this process; test_hdf5 has the other kind.
    attributes = {"source": np.bytes_(b"collected")}
    path = write(arrays, attributes=attributes, **STORAGE[storage])
    content = path.read_bytes()
    generator = np.random.default_rng(7)
    refused = 0
    for _ in range(50):
        path.write_bytes(mutate(content, generator))
        try:
            data = read_d4rl(path)
            assert np.isfinite(data.transitions.observation).all()
        except DataError as error:
            refused += 1
            assert str(path) in str(error) and "\n" not in str(error)
    assert refused > 5
