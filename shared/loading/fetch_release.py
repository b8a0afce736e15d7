"""Released policies, from a folder or a web server, checked against the release's list.

    <releases>/<release>/SHA256SUMS     the list, as `sha256sum -c` reads it
    <releases>/<release>/<name>.npz     a policy

`<data dir>/releases/<release>/<name>.npz` appears only when complete; a later call continues what
broke off.  `LATENT_POLICIES_RELEASES` says where releases lie.  Some come with the package: their
names mean these, unless the caller says where to look.
"""

import http.client
import os
import re
import urllib.error
from pathlib import Path

from shared.errors import DataError
from shared.loading.fetch_folder import Unreachable, is_offline
from shared.loading.listing import SUMS, BadListing, ListedFile, list_mirror, read_sums
from shared.loading.network import network_reason
from shared.loading.places import default_data_dir
from shared.loading.transfer import download, origin_of
from shared.storage.checksum import sha256_of
from shared.storage.locks import exclusive

VARIABLE = "LATENT_POLICIES_RELEASES"
SHIPPED = Path(__file__).parents[1] / "export" / "releases"
"""Those that come with the package."""


def fetch_release(
    name: str, release: str, *, releases: str | Path | None = None, data_dir: Path | None = None
) -> Path:
    """The file of a released policy.

    Arguments:
        name: of the policy.
        release: of the release.
        releases: folder or web address that holds releases (default: the package, then the
            environment's).
        data_dir: root of the cache (default: the environment's).

    Raises:
        Unreachable: offline, or the server does not deliver.
        DataError: no such policy, or bytes that are not those of the list.
    """
    for word in (name, release):
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,100}", word):
            raise DataError(f"'{name}@{release}' names no released policy; write NAME@RELEASE.")
    is_shipped = not releases and (SHIPPED / release / SUMS).is_file()
    root = str(SHIPPED if is_shipped else releases or os.environ.get(VARIABLE) or "")
    if not root:
        known = ", ".join(sorted(path.parent.name for path in SHIPPED.glob(f"*/{SUMS}")))
        raise DataError(
            f"no release '{release}' comes with the package ({known} does); name the place of "
            f"releases with {VARIABLE}, a folder or a web address."
        )
    if not root.startswith(("http://", "https://")):
        return _from_folder(Path(root) / release, name)
    folder = (data_dir or default_data_dir()) / "releases" / release
    if is_offline():
        raise Unreachable(f"{root} is out of reach, LATENT_POLICIES_OFFLINE is set; unset it.")
    try:
        listed = _choose(list_mirror(root, release), name, f"{root}/{release}")
        path = folder / listed.name
        with exclusive(path):
            if not path.is_file() or sha256_of(path) != listed.sha256:
                _download(listed, path)
        return path
    except (BadListing, http.client.HTTPException, urllib.error.URLError) as error:
        reason = str(error) if isinstance(error, BadListing) else network_reason(error)
        raise Unreachable(
            f"{root}/{release} is out of reach ({reason}); try again later, or name a copy with "
            f"{VARIABLE}."
        ) from error


def _from_folder(folder: Path, name: str) -> Path:
    """A policy in a folder of this machine, where it is."""
    try:
        sums = (folder / SUMS).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"{folder / SUMS} cannot be read ({reason}); name the place of releases with "
            f"{VARIABLE}, a folder or a web address."
        ) from error
    try:
        listed = _choose(read_sums(sums, folder.as_posix()), name, str(folder))
    except BadListing as error:
        raise DataError(f"{folder / SUMS} {error}; get the release again.") from error
    path = folder / listed.name
    if not path.is_file() or sha256_of(path) != listed.sha256:
        raise DataError(f"{path} is not what {SUMS} says; get the release again.")
    return path


def _choose(listed: list[ListedFile], name: str, where: str) -> ListedFile:
    for file in listed:
        if file.name == f"{name}.npz":
            return file
    known = ", ".join(file.name.removesuffix(".npz") for file in listed)
    raise DataError(f"{where} holds no policy '{name}'; choose from {known}.")


def _download(listed: ListedFile, path: Path) -> None:
    part = path.with_name(f"{path.name}.part")
    reason = download(listed.address, part, None)
    if reason is None and sha256_of(part) != listed.sha256:
        part.unlink()
        reason = "has other bytes than the list says"
    if reason is not None:
        raise Unreachable(f"{listed.address} {reason}; try again later.")
    os.replace(part, path)
    origin_of(part).unlink(missing_ok=True)
