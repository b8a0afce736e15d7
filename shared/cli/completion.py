"""Tab completion of names that only the project knows."""

from click.shell_completion import CompletionItem


def complete_dataset(context, parameter, incomplete):
    """Data sets of the catalog."""
    from shared.data.catalog import CATALOG

    return [CompletionItem(name) for name in CATALOG if name.startswith(incomplete)]


def complete_suite(context, parameter, incomplete):
    """Suites of `train --benchmark`."""
    from shared.suites import suites

    return [CompletionItem(name) for name in suites() if name.startswith(incomplete)]


def complete_algorithm(family: str):
    """Algorithms of a family."""

    def complete(context, parameter, incomplete):
        from shared.registry import algorithms

        return [CompletionItem(name) for name in algorithms(family) if name.startswith(incomplete)]

    return complete
