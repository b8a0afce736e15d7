"""YAML as users write it: plain values only, and no key twice."""

from typing import Any

import yaml

from shared.errors import printable


class _Loader(yaml.SafeLoader):
    """PyYAML's safe one, which by itself would take the last of two equal keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in seen:
                twice = f"the key '{printable(key.value)}' is there twice"
                raise yaml.constructor.ConstructorError(problem=twice, problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Any:
    """What the text holds.

    Raises:
        yaml.YAMLError: it is no YAML, holds more than plain values, or has a key twice.
    """
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def told(error: Exception) -> str:
    """The place of an error in a text and what is wrong there, in a few words."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem:
        mark = error.problem_mark or error.context_mark
        place = "" if mark is None else f"line {mark.line + 1}: "
        return place + " ".join(error.problem.split())
    return " ".join(str(error).split())
