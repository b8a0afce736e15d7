"""The words of a `train` command line as one request."""

from typing import Any

import click

from shared.errors import ConfigError

WITH_RESUME = {"resume", "data", "data_dir", "loggers", "steps"}
"""What may stand beside `--resume`."""


def request_of(family: str, words: dict[str, Any]):
    """The words of the command line as one request."""
    from shared.data.catalog import canonical_name
    from shared.loading.request import DataRequest
    from shared.runs import config
    from shared.runs.request import Request

    overrides = config.parse_overrides(words["pairs"])
    for name in ("steps", "online_steps"):
        if words[name] is not None:
            overrides[name] = words[name]
    if words["decoder"] is not None:
        overrides = _steered(family, words, overrides)
    name = None if words["dataset"] is None else canonical_name(words["dataset"])
    observation = words["observation"] or overrides.pop("observation", None)
    wishes = (words[word] for word in ("data", "source", "data_dir"))
    first = words["first_seed"]
    return Request(
        family,
        words["algo"],
        DataRequest(name, *wishes, observation=observation),
        preset=words["preset"],
        seeds=tuple(range(first, first + words["seeds"])),
        overrides=overrides,
        sweep=config.parse_sweeps(words["sweeps"]),
        **{word: words[word] for word in ("model", "features", "out", "label", "loggers")},
    )


def _steered(family: str, words: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """`overrides` of a policy that steers the file of `--decoder`, and trains no decoder."""
    import dataclasses

    from shared.models.foreign_file import with_digest
    from shared.runs import registry

    found = registry.find(family, words["algo"])
    if "decoder" not in {field.name for field in dataclasses.fields(found)}:
        raise ConfigError(
            f"--decoder: '{words['algo']}' steers no policy of somebody else; choose --algo dsrl."
        )
    if words["model"] is not None:
        raise ConfigError("--decoder and --model both bring a decoder; leave out one of the two.")
    frozen = {"decoder_steps": 0, "decoder_beside": False}
    return overrides | frozen | {"decoder": with_digest(words["decoder"])}


def refuse_with_resume(context: click.Context) -> None:
    """Raise a ConfigError for options that a resumed run, which is what it was, cannot take."""
    for parameter in context.command.params:
        name = str(parameter.name)
        given = context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE
        if given and name not in WITH_RESUME:
            raise ConfigError(
                f"--resume takes the run's own settings; leave out '{parameter.opts[0]}'."
            )
