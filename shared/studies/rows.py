"""The rows of a study: algorithms with settings, under labels."""

from collections.abc import Mapping
from typing import Any

from shared.errors import ConfigError
from shared.runs import registry
from shared.runs.config import as_number
from shared.runs.conversion import convert, refuse_unknown
from shared.studies.parts import list_of, mapping_of, text_of
from shared.studies.study import Row

COMMON_KEYS = ("preset", "seeds", "observation", "set")
"""Of the study, and of any row that differs."""
KEYS = ("algorithm", *COMMON_KEYS, "sweep", "model_from", "features_from")
GROUPS = ("algorithms", "rows", "controls")


def read_rows(document: Mapping[str, Any], where: str) -> tuple[Row, ...]:
    """What stands under `algorithms`, `rows` and `controls`.

    Raises:
        ConfigError: no row, two of one label, or one that cannot be understood.
    """
    common = {key: document[key] for key in COMMON_KEYS if document.get(key) is not None}
    listed = list_of(document.get("algorithms"), f"{where}: 'algorithms'")
    named = {key: mapping_of(document.get(key), f"{where}: {key}") for key in GROUPS[1:]}
    rows: dict[str, Row] = {}
    for group, entries in ({"algorithms": {name: name for name in listed}} | named).items():
        for label, entry in entries.items():
            place = f"{where}: {group}: '{label}'"
            if not isinstance(label, str) or not label.strip():
                raise ConfigError(f"{place}: is no label; write a name.")
            for row in _rows_of(label, entry, common, place, group == "controls"):
                if row.label in rows:
                    raise ConfigError(f"{place}: two rows have the label; rename one.")
                rows[row.label] = row
    if not rows:
        raise ConfigError(f"{where}: has no rows; add 'algorithms' or 'rows'.")
    for row in rows.values():
        _check_source(row, rows, where)
    return tuple(rows.values())


def _rows_of(label: str, entry: Any, common: dict, where: str, is_control: bool) -> list[Row]:
    """A row for each preset."""
    own = mapping_of({"algorithm": entry} if isinstance(entry, str) else entry, where, KEYS)
    values = common | own
    if "algorithm" not in values:
        raise ConfigError(f"{where}: 'algorithm' is missing; add it.")
    algorithm = text_of(values["algorithm"], f"{where}: 'algorithm'")
    presets = values.get("preset", "paper")
    presets = list_of(presets if isinstance(presets, list) else [presets], where)
    overrides = mapping_of(common.get("set"), f"{where}: set")
    overrides |= mapping_of(own.get("set"), f"{where}: set")
    sweep = {
        key: [as_number(x) for x in list_of(swept, f"{where}: sweep: '{key}'")]
        for key, swept in mapping_of(own.get("sweep"), f"{where}: sweep").items()
    }
    if empty := next((key for key, swept in sweep.items() if not swept), None):
        raise ConfigError(f"{where}: sweep: '{empty}' has no values; add some.")
    for key, swept in sweep.items():
        if any(x in swept[:i] for i, x in enumerate(swept)):
            raise ConfigError(f"{where}: sweep: '{key}' has a value twice; write each value once.")
        if key in (own.get("set") or {}):
            raise ConfigError(f"{where}: '{key}' is in set and in sweep; leave out one of the two.")
    rows = []
    for preset in presets:
        ending = f", {preset}" if len(presets) > 1 else ""
        row = Row(
            label=f"{label}{ending}",
            family=family_of(algorithm, where),
            algorithm=algorithm,
            preset=text_of(preset, f"{where}: 'preset'"),
            seeds=_seeds(values.get("seeds", 1), f"{where}: 'seeds'"),
            observation=values.get("observation"),
            overrides=overrides,
            sweep=sweep,
            model_from=_source(own, "model_from", ending, where),
            features_from=_source(own, "features_from", ending, where),
            is_control=is_control,
        )
        rows.append(row)
    return rows


def _source(own: Mapping[str, Any], key: str, ending: str, where: str) -> str | None:
    """The row, of the same preset, that an entry names under this key."""
    return own.get(key) and f"{text_of(own[key], f'{where}: {key}')}{ending}"


def _check_source(row: Row, rows: Mapping[str, Row], where: str) -> None:
    """The row whose model another needs must be there, and have trained one itself."""
    if row.after is None:
        return
    key = "features_from" if row.model_from is None else "model_from"
    if row.model_from is not None and row.features_from is not None:
        raise ConfigError(
            f"{where}: '{row.label}': takes over a model or learns on its states; leave out "
            "model_from or features_from."
        )
    source = rows.get(row.after)
    if source is None or source.sweep or source.after is not None:
        why = "is no row" if source is None else "is a sweep or needs a model itself"
        raise ConfigError(f"{where}: '{row.label}': {key}: '{row.after}' {why}; name another row.")


def family_of(algorithm: str, where: str) -> str:
    """The family that has an algorithm of this name.

    Raises:
        ConfigError: none has one.
    """
    known = {name: family for family in registry.FAMILIES for name in registry.names(family)}
    refuse_unknown({algorithm: None}, known, f"{where}: algorithm")
    return known[algorithm]


def _seeds(value: Any, where: str) -> tuple[int, ...]:
    """A number of seeds, or neighbouring ones by name."""
    listed = value if isinstance(value, list) else list(range(convert(value, int, where)))
    seeds = convert(listed, tuple[int, ...], where)
    if not seeds or list(seeds) != list(range(seeds[0], seeds[0] + len(seeds))) or seeds[0] < 0:
        raise ConfigError(f"{where} is {value!r}; write a number, or neighbours as in [3, 4, 5].")
    return seeds
