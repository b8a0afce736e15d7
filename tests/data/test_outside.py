"""No file outside of a data set is opened, whatever a file of it names: the kernel is asked."""

import ctypes
import json
import os
import sys
import zipfile

import h5py
import numpy as np
import pytest
from recording import record

from shared.data.reader import read_states
from shared.data.vd4rl.reader import read_vd4rl
from shared.errors import DataError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
IN_OPEN, IN_NONBLOCK = 0x20, 0o4000
ROWS = 6


class Watch:
    """Counts how often files of a folder are opened, by Python or by a C library."""

    def __init__(self, folder):
        libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = libc.inotify_init1(IN_NONBLOCK)
        assert libc.inotify_add_watch(self.descriptor, os.fsencode(folder), IN_OPEN) >= 0

    def opened(self):
        """Were files opened since the last call?"""
        try:
            return bool(os.read(self.descriptor, 1 << 16))
        except BlockingIOError:
            return False


@pytest.fixture
def outside(tmp_path):
    """A folder with a file of every kind that others may point at."""
    folder = tmp_path / "outside"
    folder.mkdir()
    with h5py.File(folder / "secret.hdf5", "w") as file:
        file["rewards"] = np.ones(60, "f4")
    (folder / "raw").write_bytes(bytes(240))
    np.save(folder / "secret.npy", np.ones(60))
    np.savez(folder / "secret.npz", **episode())
    (folder / "collected.json").write_text(json.dumps({"source": "collected"}))
    (folder / "note").write_text("0" * 64)
    return folder


def episode():
    action = np.linspace(0, 1, ROWS * 6, dtype="f4").reshape(ROWS, 6)
    return {
        "image": np.arange(ROWS * 192, dtype=np.uint8).reshape(ROWS, 8, 8, 3),
        "action": action * (np.arange(ROWS) > 0)[:, None],
        "reward": np.append(0, np.ones(ROWS - 1)),
    }


def recorded(path):
    """A D4RL file without rewards, open for more."""
    file = h5py.File(path, "w")
    for key, x in record((20, 20, 20)).items():
        if key != "rewards":
            file[key] = x
    return file


def external_link(inside, outside):
    with recorded(inside / "x.hdf5") as file:
        file["rewards"] = h5py.ExternalLink(outside / "secret.hdf5", "rewards")


def external_link_in_an_unread_group(inside, outside):
    with recorded(inside / "x.hdf5") as file:
        file["rewards"] = np.ones(60, "f4")
        file["infos/more"] = h5py.ExternalLink(outside / "secret.hdf5", "/")


def soft_link_through_an_external_one(inside, outside):
    with recorded(inside / "x.hdf5") as file:
        file["rewards"] = h5py.SoftLink("/infos/more/rewards")
        file["infos/more"] = h5py.ExternalLink(outside / "secret.hdf5", "/")


def external_storage(inside, outside):
    with recorded(inside / "x.hdf5") as file:
        where = [(str(outside / "raw"), 0, 240)]
        file.create_dataset("rewards", (60,), "f4", external=where)


def virtual_data_set(inside, outside):
    layout = h5py.VirtualLayout((60,), "f4")
    layout[:] = h5py.VirtualSource(outside / "secret.hdf5", "rewards", shape=(60,))
    with recorded(inside / "x.hdf5") as file:
        file.create_virtual_dataset("rewards", layout)


def archive(inside, name):
    np.savez(inside / "0.npz", **episode())
    with zipfile.ZipFile(inside / "0.npz", "a") as file:
        file.writestr(name, b"")


def path_out_of_an_archive(inside, outside):
    archive(inside, f"../{outside.name}/secret.npy")


def whole_path_in_an_archive(inside, outside):
    archive(inside, str(outside / "secret.npy"))


def linked_episode(inside, outside):
    np.savez(inside / "0.npz", **episode())
    (inside / "1.npz").symlink_to(outside / "secret.npz")


def linked_twice(inside, outside):
    linked_episode(inside, outside)
    (inside / "1.npz").rename(inside / "hop")
    (inside / "1.npz").symlink_to(inside / "hop")


def linked_record(inside, outside):
    np.savez(inside / "0.npz", **episode())
    (inside / "collected.json").symlink_to(outside / "collected.json")


CASES = [
    external_link,
    external_link_in_an_unread_group,
    soft_link_through_an_external_one,
    external_storage,
    virtual_data_set,
    path_out_of_an_archive,
    whole_path_in_an_archive,
    linked_episode,
    linked_twice,
    linked_record,
]


@pytest.mark.parametrize("make", CASES)
def test_nothing_outside_is_opened(tmp_path, outside, make):
    inside = tmp_path / "inside"
    inside.mkdir()
    make(inside, outside)
    watch = Watch(outside)
    (outside / "note").read_text()
    assert watch.opened()  # it would be seen
    with pytest.raises(DataError) as caught:
        read_states(inside / "x.hdf5") if (inside / "x.hdf5").exists() else read_vd4rl(inside)
    assert not watch.opened()
    assert str(caught.value).startswith(str(inside)) and "\n" not in str(caught.value)


def test_a_linked_note_is_none(tmp_path, outside):
    inside = tmp_path / "inside"
    inside.mkdir()
    with recorded(inside / "x.hdf5") as file:
        file["rewards"] = np.linspace(0, 1, 60, dtype="f4")
    (inside / "x.hdf5.sha256").symlink_to(outside / "note")
    watch = Watch(outside)
    assert read_states(inside / "x.hdf5").rows > 0 and not watch.opened()
