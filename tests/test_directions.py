# SPDX-License-Identifier: MIT
"""Who may import whom: every arrow points down, and the core knows no plugin, not even by name."""

import ast
import graphlib
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "arcface_fair"
GROUND = {"errors", "dist", "config", "files", "optional"}

# Room of arcface_fair -> the rooms it may import beside the ground floor and itself.
ALLOWED = {
    **{name: set() for name in sorted(GROUND)},
    "head": set(),
    "data": set(),
    "evaluation": set(),
    "backbones": set(),
    "plugin": {"head", "data"},
    "attention": {"head"},
    "run": {"backbones", "head", "plugin"},
    "export": {"run", "backbones", "data"},
    "hosts": {"run", "plugin", "evaluation", "data", "head", "backbones"},
    "hosts/embedded": {"hosts", "run", "plugin", "evaluation", "data", "head", "backbones"},
    "hosts/upstream": {"hosts", "run", "plugin", "evaluation", "data", "head", "backbones"},
    "judge": {"run", "evaluation", "data", "export"},
    "report": {"evaluation", "run", "attention"},
    "figures": {"evaluation", "run", "plugin", "attention", "data"},
}
# What users and installed trainers start: these may import everything, and nothing imports them.
FACES = {"__init__", "__main__", "bridge", "cli", "train"}
FOR_PLUGINS = GROUND | {"plugin", "head", "attention", "data", "run"}
PLUGINS = {"invreg_plugin": "invreg", "gabn_plugin": "gabn", "contrast_plugin": "contrast"}
# "contrast" is a word of everyday language too: alone it counts only as a whole string.
NAMES = re.compile(rf"\b({'|'.join(PLUGINS)}|invreg|gabn)\b|^contrast$")

FILES = sorted(CORE.rglob("*.py"))
SHIPPED = ["arcface_fair", *PLUGINS, "drawn_faces"]


def by_path(path: Path) -> str:
    return str(path.relative_to(ROOT))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {
    module_name(path): path for folder in SHIPPED for path in sorted((ROOT / folder).rglob("*.py"))
}


def imports_at_run_time(path: Path) -> set[str]:
    """Modules that importing or running ``path`` imports; TYPE_CHECKING blocks do not count."""
    names: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return names


def modules_imported(path: Path) -> set[str]:
    """Our modules that ``path`` imports; a package only where none of its modules is meant."""
    names = imports_at_run_time(path) & set(MODULES)
    return {n for n in names if not any(other.startswith(f"{n}.") for other in names)}


def room(path: Path) -> str:
    parts = path.relative_to(CORE).with_suffix("").parts
    below = "/".join(parts[:2])
    return below if len(parts) > 2 and below in ALLOWED else parts[0]


def rooms_imported(path: Path) -> set[str]:
    ours = modules_imported(path)
    return {room(MODULES[n]) for n in ours if n.startswith("arcface_fair.")} - {room(path)}


@pytest.mark.parametrize("path", FILES, ids=by_path)
def test_every_file_stands_in_a_room(path):
    assert room(path) in {*ALLOWED, *FACES}, f"{by_path(path)} belongs into a room"


@pytest.mark.parametrize("path", FILES, ids=by_path)
def test_rooms_import_only_what_lies_below(path):
    here = room(path)
    below = {*ALLOWED, *FACES} if here in FACES else ALLOWED[here] | GROUND
    above = rooms_imported(path) - below
    assert not above, f"{by_path(path)} imports {above}"


def test_there_is_no_import_circle():
    graph = {name: modules_imported(path) - {name} for name, path in MODULES.items()}
    assert list(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("path", FILES, ids=by_path)
def test_core_imports_no_plugin(path):
    guests = {name.split(".")[0] for name in imports_at_run_time(path)} & set(PLUGINS)
    assert not guests, f"{by_path(path)} imports {guests}"


def strings(path: Path) -> list[str]:
    """The string constants of a file without its docstrings, which may name a paper's method."""
    tree = ast.parse(path.read_text())
    texts = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts
    ]


@pytest.mark.parametrize("path", FILES, ids=by_path)
def test_core_names_no_plugin_in_its_strings(path):
    named = [text for text in strings(path) if NAMES.search(text)]
    assert not named, f"{by_path(path)} names a plugin: {named}"


def test_the_plugins_are_those_that_the_package_announces():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    announced = project["entry-points"]["arcface_fair.plugins"]
    assert announced == {name: module for module, name in PLUGINS.items()}


@pytest.mark.parametrize("plugin", sorted(PLUGINS))
def test_plugins_import_what_is_meant_for_them_and_not_each_other(plugin):
    for path in (ROOT / plugin).rglob("*.py"):
        names = modules_imported(path)
        assert not {n.split(".")[0] for n in names} & (set(PLUGINS) - {plugin}), path
        rooms = {room(MODULES[n]) for n in names if n.startswith("arcface_fair.")}
        assert not rooms - FOR_PLUGINS, f"{path} imports {rooms - FOR_PLUGINS}"


def test_faces_are_drawn_without_trainers():
    for path in (ROOT / "drawn_faces").glob("*.py"):
        ours = {room(MODULES[n]) for n in modules_imported(path) if n.startswith("arcface_fair.")}
        assert not ours - GROUND - {"data"}, f"{path} imports {ours}"


def test_nothing_of_the_core_imports_what_stands_on_it():
    for path in FILES:
        above = {name.split(".")[0] for name in imports_at_run_time(path)}
        assert not above & {"drawn_faces", "studies", "benchmarks"}, path


def test_evaluation_needs_no_torch():
    for path in (CORE / "evaluation").glob("*.py"):
        if path.name != "gpu_tiles.py":  # which all_pairs imports where a GPU is asked for
            tops = {name.split(".")[0] for name in imports_at_run_time(path)}
            assert "torch" not in tops, path


def test_only_the_command_line_prints():
    for folder in SHIPPED:
        for path in (ROOT / folder).rglob("*.py"):
            if path.parent.name in ("cli", "commands"):
                continue
            calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
            prints = [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]
            assert not prints, f"{path} prints; log, or return text to the command line"


def test_every_file_begins_with_licence_and_promise():
    for folder in (*SHIPPED, "benchmarks", "studies", "configs"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text()
            assert text.startswith("# SPDX-License-Identifier: MIT\n"), path
            assert ast.get_docstring(ast.parse(text)), path
