"""Tab completion of names that only the project knows."""

from click.shell_completion import CompletionItem


def complete_dataset(context, parameter, incomplete):
    """Data sets: ours, and those of installed packages unless one of these is broken."""
    from shared.data.catalog import CATALOG, datasets
    from shared.errors import UserError

    try:
        known = datasets()
    except UserError:  # told by the command itself
        known = CATALOG
    return [CompletionItem(name) for name in known if name.startswith(incomplete)]


def complete_suite(context, parameter, incomplete):
    """Suites of `train --benchmark`."""
    from shared.data.suites import suites

    return [CompletionItem(name) for name in suites() if name.startswith(incomplete)]


def complete_algorithm(family: str):
    """Algorithms of a family."""

    def complete(context, parameter, incomplete):
        from shared.runs.registry import names

        return [CompletionItem(name) for name in names(family) if name.startswith(incomplete)]

    return complete


def complete_study(context, parameter, incomplete):
    """Studies that come with the project."""
    from importlib import resources

    names = (x.name for x in (resources.files("configs") / "studies").iterdir())
    known = sorted(name.removesuffix(".yaml") for name in names)
    return [CompletionItem(name) for name in known if name.startswith(incomplete)]


def complete_preset(family: str):
    """Presets of the algorithm that was named, or of the family's own."""

    def complete(context, parameter, incomplete):
        from importlib import resources

        import yaml

        from shared.storage.yaml_text import load_yaml

        # Not by `config.load_values`, whose module imports JAX.
        file = resources.files("configs") / f"{context.params.get('algo') or family}.yaml"
        try:
            own = load_yaml(file.read_text()).get("presets") or {}
        except (OSError, yaml.YAMLError):  # told by the command itself
            own = {}
        return [CompletionItem(x) for x in ("paper", *own) if x.startswith(incomplete)]

    return complete
