"""npz archives that lie: every one is refused with file, key and reason, and nothing is run."""

import io
import struct
import zipfile

import numpy as np
import pytest

from shared.data.files import npz
from shared.data.files.npz import read_npz
from shared.errors import DataError


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def pack(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def declared(shape, dtype="<f4", body=b"\0" * 16):
    """An npy file whose header says `shape`, with other bytes behind it."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return file.getvalue() + body


def test_reads_what_numpy_writes(tmp_path):
    arrays = {
        "image": np.random.default_rng(0).integers(0, 255, (5, 4, 4, 3), np.uint8),
        "reward": np.arange(5.0),
        "turned": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "none": np.zeros((0, 3), np.float32),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "x.npz", **arrays)
        found = read_npz(tmp_path / "x.npz", ("image", "reward", "turned", "none", "absent"))
        assert found.keys == tuple(arrays) and set(found.arrays) == set(arrays)
        for key, x in arrays.items():
            assert np.array_equal(found.arrays[key], x) and found.arrays[key].dtype == x.dtype


class Bomb:
    """Unpickling this would write a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


HOSTILE = {
    "out of the archive": lambda p: [("../evil.npy", npy(np.zeros(2)))],
    "gives arrays plain|out of": lambda p: [("/etc/evil.npy", npy(np.zeros(2)))],
    "occurs twice": lambda p: [("reward.npy", npy(np.zeros(2)))] * 2,
    "Python objects": lambda p: [
        ("reward.npy", npy(np.array([Bomb(p / "ran")], object), allow_pickle=True))
    ],
    "declares 8,589,934,592 bytes": lambda p: [("reward.npy", declared((1 << 31,)))],
    "declares 4 bytes": lambda p: [("reward.npy", declared((1,)))],
    "not numbers": lambda p: [("reward.npy", npy(np.array(["a", "b"])))],
    "an npy array of plain numbers": lambda p: [("reward.npy", npy(np.zeros(2, "f4,f4")))],
    "is not an npy array": lambda p: [("reward.npy", b"nothing of the kind")],
    "in it|keep one episode": lambda p: [(f"{i}.npy", b"") for i in range(300)],
    "not what it claims": lambda p: [("reward.npy", npy(np.zeros(1 << 20)))],
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("reason", HOSTILE)
def test_hostile_archives_are_refused(reason, tmp_path, monkeypatch):
    if reason == "not what it claims":  # a bound that deflate itself cannot pass, made smaller
        monkeypatch.setattr(npz, "MAXIMUM_EXPANSION", 500)
    path = pack(tmp_path / "x.npz", HOSTILE[reason](tmp_path))
    with pytest.raises(DataError, match=f"x.npz.*({reason})"):
        read_npz(path, ("reward",))
    assert sorted(x.name for x in tmp_path.iterdir()) == ["x.npz"]


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (3,\n",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (-3,), }\n",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': ((3,),), }\n",
        b"{'descr': '<f16', 'fortran_order': False, 'shape': (3,), }\n",
        b"{'descr': '<f3', 'fortran_order': False, 'shape': (3,), }\n",
        b"{'descr': 'f4', 'shape': (3,), }\n",
        b"(" * 5000 + b"\n",
    ],
)
def test_headers_are_not_evaluated(tmp_path, header):
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(12)
    with pytest.raises(DataError, match="x.npz: key 'reward' (is not an npy|holds '<f)"):
        read_npz(pack(tmp_path / "x.npz", [("reward.npy", data)]), ("reward",))


def test_too_large_for_the_memory(tmp_path, monkeypatch):
    np.savez(tmp_path / "x.npz", reward=np.zeros(1000))
    monkeypatch.setattr(npz, "memory_limit", lambda: 4000)
    with pytest.raises(DataError, match="reward declare .* GiB, more than"):
        read_npz(tmp_path / "x.npz", ("reward",))


def test_forged_sizes_are_refused(tmp_path):
    """A central directory that promises other sizes than the members have."""
    path = pack(tmp_path / "x.npz", [("reward.npy", npy(np.arange(100.0)))])
    whole = path.read_bytes()
    entry = whole.index(b"PK\x01\x02") + 24  # the uncompressed size
    for size in (10, 928 - 1, 928 + 1, 1 << 20):
        path.write_bytes(whole[:entry] + struct.pack("<I", size) + whole[entry + 4 :])
        with pytest.raises(DataError, match="x.npz"):
            read_npz(path, ("reward",))


def test_other_methods_and_files(tmp_path):
    array = npy(np.arange(1000.0))
    with pytest.raises(DataError, match="use savez_compressed"):
        read_npz(pack(tmp_path / "x.npz", [("reward.npy", array)], zipfile.ZIP_LZMA), ("reward",))
    (tmp_path / "y.npz").write_text("<html>")
    with pytest.raises(DataError, match=r"y\.npz: is not an npz archive"):
        read_npz(tmp_path / "y.npz", ())
    with pytest.raises(DataError, match="not a regular file"):
        read_npz(tmp_path, ())
    with pytest.raises(DataError, match="cannot be read"):
        read_npz(tmp_path / "z.npz", ())
