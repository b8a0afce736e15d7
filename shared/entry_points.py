"""What other installed packages add: objects that their distributions register by name.

An entry point is one line in a package's `pyproject.toml`:

    [project.entry-points."latent_policies.datasets"]
    my-robot-logs = "my_package.robots:LOGS"
"""

from collections.abc import Callable, Container
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from shared.errors import ConfigError


def additions(
    group: str, what: str, known: Container[str], fits: Callable[[Any], bool], form: str
) -> dict[str, Any]:
    """The registered objects of one group, by name.

    Arguments:
        group: e.g. `latent_policies.datasets`.
        what: an object of it in words, for errors, e.g. "data set".
        known: names that exist already, which none may hide.
        fits: is an object what the group holds?
        form: what that is in words, e.g. "a shared.data.catalog.Entry".

    Raises:
        ConfigError: a name twice, or an entry that cannot be loaded or is something else.
    """
    found: dict[str, Any] = {}
    for entry in entry_points(group=group):
        if entry.name in known or entry.name in found:
            raise ConfigError(
                f"{what} '{entry.name}' of '{entry.value}' hides one that exists; rename it."
            )
        found[entry.name] = _load(entry, what)
        if not fits(found[entry.name]):
            raise ConfigError(f"{_called(entry, what)} is not {form}; mend that package.")
    return found


def registered(group: str, what: str, known: dict[str, Any], kind: type) -> dict[str, Any]:
    """What installed packages add to `known`, by name.

    Raises:
        ConfigError: an entry point is broken, hides another or has another name than its object.
    """
    form = f"a {kind.__module__}.{kind.__name__}"
    found = additions(group, what, known, lambda x: isinstance(x, kind), form)
    for name, x in found.items():
        if x.name != name:
            raise ConfigError(
                f"{what} '{x.name}' is registered as '{name}'; give it one name in both places."
            )
    return found


def _load(entry: EntryPoint, what: str) -> Any:
    try:
        return entry.load()
    except Exception as error:  # whatever the package's own code raises
        reason = "".join(c for c in str(error).partition("\n")[0] if c.isprintable())
        raise ConfigError(
            f"{_called(entry, what)} cannot be loaded ({type(error).__name__}: {reason}); mend or "
            "uninstall that package."
        ) from error


def _called(entry: EntryPoint, what: str) -> str:
    package = f" of package '{entry.dist.name}'" if entry.dist is not None else ""
    return f"{what} '{entry.name}'{package} ('{entry.value}')"
