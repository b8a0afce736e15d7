"""Hostile, broken and mistaken files: every one is refused in one sentence."""

import os
import resource

import h5py
import numpy as np
import pytest

from shared.data.files.hdf5 import read_hdf5
from shared.data.reader import read_states
from shared.errors import DataError
from shared.storage.checksum import note_path, sha256_of, write_note

KEYS = ("observations", "actions", "rewards", "terminals", "timeouts")


def refuse(path, *words):
    """The file is refused; the sentence is one line with the file and these words."""
    with pytest.raises(DataError) as caught:
        read_states(path)
    sentence = str(caught.value)
    assert "\n" not in sentence and str(path) in sentence and sentence.endswith(".")
    for word in words:
        assert word in sentence, sentence


def test_reads_arrays_and_plain_attributes(write, arrays):
    path = write(arrays, attributes={"source": "x", "rows": 60, "b": b"raw", "list": [1, 2]})
    contents = read_hdf5(path, ("actions", "absent"))
    assert set(contents.arrays) == {"actions"}
    np.testing.assert_array_equal(contents.arrays["actions"], arrays["actions"])
    assert contents.attributes == {"source": "x", "rows": 60, "b": "raw"}
    assert set(contents.keys) == set(arrays)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "gzip", "shuffle": True},
        {"compression": "lzf"},
        {"fletcher32": True, "chunks": True},
    ],
)
def test_reads_every_allowed_storage(write, arrays, options):
    contents = read_hdf5(write(arrays, **options), KEYS)
    for key in KEYS:
        np.testing.assert_array_equal(contents.arrays[key], arrays[key])


def test_all_false_flags_compress_well_and_are_read(write, arrays):
    flags = {"flags": np.zeros(2_000_000, bool)}
    path = write(flags, compression="gzip", compression_opts=9, chunks=(2_000_000,))
    assert not read_hdf5(path, ("flags",)).arrays["flags"].any()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"hello" * 100, "signature is missing"),
        (b"<!DOCTYPE html><html>403</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"PK\x03\x04" + bytes(50), "npz"),
        (b"\x80\x04\x95" + bytes(50), "pickle"),
    ],
)
def test_other_files_are_named(tmp_path, content, words):
    path = tmp_path / "data.hdf5"
    path.write_bytes(content)
    refuse(path, words)


def test_absent_folder_and_pipe(tmp_path):
    refuse(tmp_path / "none.hdf5", "No such file")
    refuse(tmp_path, "holds no .npz or .hdf5 files")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    refuse(pipe, "not a regular file")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated(write, arrays, share):
    path = write(arrays, compression="gzip")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refuse(path, "truncated")


def test_links_are_never_followed(write, arrays, tmp_path):
    secret = write({"observations": arrays["observations"]}, name="secret.hdf5")
    del arrays["observations"]
    for number, link in enumerate(
        (h5py.ExternalLink(str(secret), "observations"), h5py.SoftLink("/actions"))
    ):
        path = write(arrays, name=f"{number}.hdf5")
        with h5py.File(path, "a") as file:
            file["observations"] = link
        refuse(path, "observations", ("an external", "a soft")[number] + " link")


def test_links_in_groups_that_are_not_read(write, arrays):
    path = write(arrays)
    with h5py.File(path, "a") as file:
        file.create_group("infos")["qpos"] = h5py.ExternalLink("other.hdf5", "/x")
    refuse(path, "infos/qpos", "external")


def test_external_storage_and_virtual_data(write, arrays, tmp_path):
    (tmp_path / "raw").write_bytes(bytes(4 * 60))
    path = write({k: v for k, v in arrays.items() if k != "rewards"})
    with h5py.File(path, "a") as file:
        file.create_dataset(
            "rewards", (60,), "f4", external=[(str(tmp_path / "raw"), 0, h5py.h5f.UNLIMITED)]
        )
    refuse(path, "rewards", "external storage")
    with h5py.File(path, "a") as file:
        del file["rewards"]
        layout = h5py.VirtualLayout((60,), "f4")
        layout[:] = h5py.VirtualSource("other.hdf5", "x", shape=(60,))
        file.create_virtual_dataset("rewards", layout)
    refuse(path, "rewards", "virtual")


def test_cycle_of_groups_ends(write, arrays):
    path = write(arrays)
    with h5py.File(path, "a") as file:
        group = file.create_group("a")
        group["again"] = group
    refuse(path, "levels")


def test_many_objects_are_refused(write, arrays):
    path = write(arrays)
    with h5py.File(path, "a") as file:
        for number in range(2100):
            file.create_group(f"g{number}")
    refuse(path, "objects")


@pytest.mark.parametrize(
    "value",
    [
        np.array([b"text"] * 60),
        np.zeros(60, [("x", "f4"), ("y", "f4")]),
        np.zeros(60, np.complex64),
    ],
)
def test_only_numbers_are_read(write, arrays, value):
    refuse(write(arrays | {"rewards": value}), "rewards", "not numbers")


def test_objects_are_never_read(write, arrays):
    del arrays["rewards"]
    path = write(arrays)
    with h5py.File(path, "a") as file:
        file.create_dataset("rewards", (60,), h5py.vlen_dtype(np.float32))
    refuse(path, "rewards", "not numbers")
    with h5py.File(path, "a") as file:
        del file["rewards"]
        file.create_dataset("rewards", data=h5py.Empty("f4"))
    refuse(path, "rewards", "no shape")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (1024, 1024)},
        {"chunks": (1024, 1024), "compression": "gzip"},
        {"chunks": (1 << 19, 1 << 10), "compression": "gzip"},
        {"chunks": (1, 1)},
    ],
)
def test_huge_declared_size_costs_nothing(write, arrays, options):
    del arrays["observations"]
    path = write(arrays)
    with h5py.File(path, "a") as file:
        file.create_dataset("observations", (1 << 21, 1 << 10), "f4", **options)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refuse(path, "observations", "declares 8,589,934,592 bytes")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_huge_chunk_for_few_rows(write, arrays):
    del arrays["rewards"]
    path = write(arrays)
    with h5py.File(path, "a") as file:
        file.create_dataset(
            "rewards", (60,), "f4", maxshape=(None,), chunks=(1 << 29,), compression="gzip"
        )
    refuse(path, "rewards", "declares")


def test_more_than_memory(write, arrays, monkeypatch):
    monkeypatch.setattr("shared.data.files.hdf5.memory_limit", lambda: 1000)
    refuse(write(arrays), "more than", "fewer rows")


def test_missing_chunks(write, arrays):
    del arrays["rewards"]
    path = write(arrays)
    with h5py.File(path, "a") as file:
        file.create_dataset("rewards", (60,), "f4", chunks=(10,), compression="gzip")[:30] = 1.0
    refuse(path, "rewards", "lacks some of its 6 chunks")


def test_plug_in_filters_are_not_run(write, arrays):
    path = write(arrays)
    with h5py.File(path, "a") as file:
        del file["rewards"]
        file.create_dataset("rewards", data=arrays["rewards"], chunks=(60,), scaleoffset=3)
    refuse(path, "rewards", "filter")


def test_filters_that_are_not_here(write, arrays):
    path = write({key: x for key, x in arrays.items() if key != "rewards"})
    with h5py.File(path, "a") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((60,))
        properties.set_filter(32001, h5py.h5z.FLAG_OPTIONAL)  # Blosc
        space = h5py.h5s.create_simple((60,))
        made = h5py.h5d.create(file.id, b"rewards", h5py.h5t.IEEE_F32LE, space, properties)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, arrays["rewards"])
    refuse(path, "rewards", "HDF5 filter 32001", "save with gzip")


def test_deep_groups_are_refused(write, arrays):
    path = write(arrays)
    with h5py.File(path, "a") as file:
        file.create_group("/".join("abcdefghijklmnop"))
    refuse(path, "8 levels of groups")


def test_huge_and_many_attributes_are_left_out(write, arrays):
    path = write({})
    with h5py.File(path, "w", libver="latest") as file:
        file.update(arrays)
        file.attrs["a"] = 1
        file.attrs["huge"] = np.bytes_(b"x" * (8 << 20))
        for i in range(400):
            file.attrs[f"number {i}"] = i
    found = read_hdf5(path, KEYS).attributes
    assert "huge" not in found and len(found) <= 256 and found["a"] == 1


def test_flipped_bit_in_checksummed_chunks(write, arrays):
    path = write(arrays, fletcher32=True, chunks=True)
    content = bytearray(path.read_bytes())
    start = content.find(arrays["observations"].tobytes()[:32])
    content[start + 5] ^= 4
    path.write_bytes(content)
    refuse(path, "observations", "damaged")


def test_flipped_bit_against_the_noted_digest(write, arrays):
    path = write(arrays)
    write_note(path, sha256_of(path))
    assert read_states(path).sha256 == sha256_of(path)
    content = bytearray(path.read_bytes())
    content[content.find(arrays["rewards"].tobytes()[:32])] ^= 1  # reads without complaint
    path.write_bytes(content)
    refuse(path, "SHA-256", note_path(path).name)


def test_attributes_that_hang_the_library(write, arrays, monkeypatch):
    """A zero object size in the heap of strings never ends; the child process does."""
    monkeypatch.setattr("shared.data.files.attributes.CHILD_SECONDS", 1)
    path = write(arrays, attributes={"source": "collected", "dataset": "hopper-random"})
    content = bytearray(path.read_bytes())
    heap = content.find(b"GCOL")
    content[heap + 24 : heap + 32] = bytes(8)
    path.write_bytes(content)
    refuse(path, "attributes", "does not end")


def test_big_and_odd_attributes_are_left_out(write, arrays):
    attributes = {"big": np.bytes_(b"x" * 60_000), "ok": True, "n": np.float32(2), "shape": (1, 2)}
    attributes |= {"none": h5py.Empty("f4"), "fixed": np.bytes_(b"text"), "reference": 0}
    path = write(arrays, attributes=attributes)
    with h5py.File(path, "a") as file:
        file.attrs["reference"] = file["actions"].ref
    found = read_hdf5(path, KEYS).attributes
    assert found == {"big": "x" * 60_000, "ok": True, "n": 2.0, "fixed": "text"}


def test_names_from_the_file_are_printable(write, arrays):
    path = write(arrays)
    with h5py.File(path, "a") as file:
        file["\x1b[31mred" + "x" * 100] = h5py.SoftLink("/nowhere")
    with pytest.raises(DataError) as caught:
        read_states(path)
    assert "\x1b" not in str(caught.value) and len(str(caught.value)) < 300
