"""The rooms of `shared/data` in the order in which data flow: each imports those before it."""

import ast

from test_imports import ROOT, imports_of, module_name

ORDER = ("catalog", "suites", "recording", "files", "checks", "vd4rl", "reader", "convert", "report")


def test_no_arrow_climbs_within_the_data():
    climbing = []
    for path in sorted((ROOT / "shared" / "data").rglob("*.py")):
        name = module_name(path, ROOT)
        if path.name == "__init__.py":
            continue
        room = name.split(".")[2]
        assert room in ORDER, f"give {room} a place in the order"
        for imported, line, _ in imports_of(ast.parse(path.read_text("utf-8")), name, False):
            parts = imported.split(".")
            if parts[:2] == ["shared", "data"] and len(parts) > 2 and parts[2] in ORDER:
                if ORDER.index(parts[2]) > ORDER.index(room):
                    climbing.append(f"{name}:{line}: {imported}")
    assert not climbing
