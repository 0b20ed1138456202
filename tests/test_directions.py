# SPDX-License-Identifier: MIT
"""Who may import whom: every arrow points to the core."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUGINS = {"invreg_plugin", "gabn_plugin"}
CONTRACT = {"session", "hooks", "penalties", "plugins"}
GROUND = {"errors", "dist", "registry", "settings", "config"}
HOSTS = {"trainer", "bridge", "cli", "train", "export"}

# Room of arcface_fair -> the rooms it may import.
ALLOWED = {
    "errors": set(),
    "registry": {"errors"},
    "dist": {"errors"},
    "settings": {"errors"},
    "config": {"errors"},
    "batchnorm": {"dist"},
    "checkpoint": {"dist", "errors", "head", "reshard", "saves"},
    "saves": {"errors"},
    "reshard": {"errors", "head"},
    "head": {"dist", "errors", "registry"},
    "data": {"dist", "errors", "registry"},
    "evaluation": {"dist", "errors", "registry"},
    "backbones": {"errors", "registry"},
    "hooks": set(),
    "penalties": set(),
    "plugins": {"errors", "hooks", "penalties", "settings"},
    "session": {"errors", "hooks", "penalties", "plugins", "settings", "config"},
    "partitions": {"checkpoint", "data", "errors", "evaluation", "export"},
    "benchmark": {
        "checkpoint",
        "config",
        "data",
        "errors",
        "evaluation",
        "export",
        "partitions",
        "saves",
        "trainer",
    },
    "second_order": set(),
    "attention": {"dist", "errors", "head", "second_order"},
    "export": {"backbones", "data", "dist", "errors", "registry"},
    "initial": {"backbones", "errors", "export"},
}


ROOMS = {path.stem for path in (ROOT / "arcface_fair").iterdir() if path.suffix in ("", ".py")}


def imports_at_run_time(path: Path) -> set[str]:
    """Modules that importing or running ``path`` imports; TYPE_CHECKING blocks do not count."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return found


def room(path: Path) -> str:
    return path.relative_to(ROOT / "arcface_fair").parts[0].removesuffix(".py")


def core_rooms_imported(path: Path) -> set[str]:
    core = [name for name in imports_at_run_time(path) if name.startswith("arcface_fair.")]
    return {name.split(".")[1] for name in core} & ROOMS


CORE = sorted((ROOT / "arcface_fair").rglob("*.py"))


@pytest.mark.parametrize("path", CORE, ids=lambda p: str(p.relative_to(ROOT)))
def test_core_names_no_plugin(path):
    guests = {name.split(".")[0] for name in imports_at_run_time(path)} & PLUGINS
    assert not guests, f"{path} imports {guests}; core must not know its plugins"


@pytest.mark.parametrize("path", CORE, ids=lambda p: str(p.relative_to(ROOT)))
def test_core_rooms_import_only_what_lies_below(path):
    here = room(path)
    if here in ALLOWED:
        above = core_rooms_imported(path) - ALLOWED[here] - {here}
        assert not above, f"{path} imports {above}"


@pytest.mark.parametrize("plugin", sorted(PLUGINS))
def test_plugins_import_neither_hosts_nor_each_other(plugin):
    for path in (ROOT / plugin).rglob("*.py"):
        names = imports_at_run_time(path)
        assert not {n.split(".")[0] for n in names} & (PLUGINS - {plugin}), path
        assert not core_rooms_imported(path) & HOSTS, path


def test_evaluation_of_given_scores_needs_no_torch():
    for path in (ROOT / "arcface_fair" / "evaluation").glob("*.py"):
        if path.name not in ("embed.py", "gpu_tiles.py"):
            tops = {name.split(".")[0] for name in imports_at_run_time(path)}
            assert "torch" not in tops, path


def test_only_the_command_line_prints():
    for folder in ("arcface_fair", "invreg_plugin", "gabn_plugin"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.parent.name == "cli":
                continue
            calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
            prints = [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]
            assert not prints, f"{path} prints; log, or return text to the command line"


def test_every_file_begins_with_licence_and_promise():
    for folder in ("arcface_fair", "invreg_plugin", "gabn_plugin", "benchmarks", "configs"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text()
            assert text.startswith("# SPDX-License-Identifier: MIT\n"), path
            assert ast.get_docstring(ast.parse(text)), path
