"""The shape of the project: imports point one way, torch stays where it belongs, nothing grows into a giant.

A failure here is a question, not a verdict: if the code found a better way, change the table and docs/architecture.md.
"""

from __future__ import annotations

import ast
import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

# From the bottom up; a module belongs to the layer that names its longest prefix. It may import its own layer and those
# below it. What the layers mean is in docs/architecture.md.
LAYERS: dict[str, tuple[str, ...]] = {
    "values": (
        *(
            "engine.errors",
            "engine.units",
            "engine.device",
            "engine.files",
            "engine.allocator",
            "engine.home",
            "engine.knobs",
        ),
        *("engine.registry", "engine.catalogue", "engine.recipe", "engine.result", "engine.model_spec"),
        *("engine.teacher_recipes", "engine.modalities"),
    ),
    "plain": (
        *(
            "engine.store",
            "engine.execution.base",
            "engine.execution.slot",
            "engine.execution.presence",
            "engine.preview",
            "engine.preview_text",
            "engine.live",
        ),
        *("engine.tasks._fashion_mnist_files", "engine.search.pareto", "engine.figures", "engine.metrics"),
        *("engine.tasks._language_model_files", "engine.metrics_language", "engine.generation", "engine.bpe"),
        *(
            "engine.statistics",
            "engine.scores",
            "engine.lessons",
            "engine.lesson_check",
            "engine.lesson_words",
            "engine.words_in_text",
            "engine.search.replicates",
            "engine.search.likely",
        ),
        *("engine.search.space", "engine.search.plan", "engine.search.orders", "engine.search.importance"),
        *("engine.search.ranking", "engine.search.longer", "engine.search.atlas", "engine.search.allocation"),
    ),
    "tensors": (
        *("engine.weights", "engine.step", "engine.taps", "engine.cuda", "engine.attack", "engine.generation_model"),
    ),
    "plug-ins": (
        *("engine.tasks", "engine.losses", "engine.stages", "sample_models"),
        *("engine.artifact", "engine.measure"),
    ),
    "training": (
        "engine.training",
        "engine.prefix",
        "engine.teaching",
        "engine.student",
        "engine.workbench",
        "engine.pipeline",
        "engine.transfer",
        "engine.progress",
    ),
    "running": (
        *("engine.search", "engine.retiming", "engine.inspection", "engine.execution", "engine.runner"),
        *("engine.other_runtimes", "engine.sensitivity"),
    ),
    "top": (
        *("engine.api", "engine.cli", "engine.__main__", "engine.doctor", "engine.export", "engine.housekeeping"),
        *("engine.importing", "engine.answering", "engine.backup"),
    ),
    "pages": ("pages", "app"),
    "scripts": ("benchmarks", "tools", "sample_data"),
}
ORDER = list(LAYERS)
FOLDERS = ("engine", "sample_models", "sample_data", "pages", "benchmarks", "tools")

# An import inside a function hides a dependency; each of these has its reason.
LAZY = {
    "engine.answering_worker -> engine.generation": "its process answers without it until somebody asks for a text",
    "engine.catalogue -> engine.registry": "only `make catalogue` and a folder of plug-ins need the code behind rows",
    "sample_models.minilm -> sample_models._minilm": "transformers takes seconds to import: only who makes one pays it",
}
NO_TORCH_LAYERS = ("values", "plain", "top")
NO_TORCH = ("engine.runner",)
HEAVY = ("torch", "torchvision", "transformers", "onnxruntime", "sklearn")


@functools.cache
def sources(*folders: str) -> tuple[Path, ...]:
    """Python files of the given top-level folders and files."""
    chosen = folders or (*FOLDERS, "app.py")
    found = [p for f in chosen for p in ([ROOT / f] if f.endswith(".py") else sorted((ROOT / f).rglob("*.py")))]
    return tuple(p for p in found if p.exists())


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(p): p for p in sources()}


def layer(module: str) -> str:
    """The layer that names the longest prefix of ``module``."""
    if module == "engine":
        return "values"
    found = [
        (len(prefix), name)
        for name, prefixes in LAYERS.items()
        for prefix in prefixes
        if module == prefix or module.startswith((prefix + ".", prefix + "_"))
    ]
    assert found, f"{module} belongs to no layer: add it to LAYERS in {Path(__file__).name} and docs/architecture.md"
    return max(found)[1]


def imports(path: Path) -> list[tuple[str, bool]]:
    """Modules of this project that a file imports, and whether inside a function; typing-only imports left out."""
    found: list[tuple[str, bool]] = []

    def visit(node: ast.AST, lazy: bool) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{a.name}" for a in node.names]
            found.extend((n if n in MODULES else node.module, lazy) for n in names)
        elif isinstance(node, ast.Import):
            found.extend((a.name, lazy) for a in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child, lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))

    visit(tree(path), False)
    return [(m, lazy) for m, lazy in dict.fromkeys(found) if m.split(".")[0] in (*FOLDERS, "app")]


EDGES = [(m, target, lazy) for m, path in MODULES.items() for target, lazy in imports(path)]


def test_imports_point_one_way() -> None:
    wrong = [
        f"{m} ({layer(m)}) imports {target} ({layer(target)})"
        for m, target, lazy in EDGES
        if ORDER.index(layer(target)) > ORDER.index(layer(m)) and f"{m} -> {target}" not in LAZY and "." in target
    ]
    assert not wrong, "\n".join(wrong)


def test_no_two_modules_import_each_other() -> None:
    graph = {m: {t for a, t, lazy in EDGES if a == m and not lazy and t != m} for m in MODULES}
    while free := [m for m, targets in graph.items() if not targets & set(graph)]:
        for module in free:
            del graph[module]
    assert not graph, f"these import each other in a circle: {sorted(graph)}"


def test_an_import_inside_a_function_has_a_reason() -> None:
    lazy = {f"{m} -> {target}" for m, target, inside in EDGES if inside and layer(m) != "scripts"}
    same = {e for e in lazy if layer(e.split(" -> ")[0]) == "pages"}
    unknown = lazy - same - set(LAZY)
    assert not unknown, f"import these at the top, or list them in LAZY with the reason: {sorted(unknown)}"


def test_figures_read_plain_tables() -> None:
    below = [(m, t) for m, t, _ in EDGES if m.startswith("engine.figures") and not t.startswith("engine.figures")]
    assert not [e for e in below if layer(e[1]) != "values" and e[1] != "engine.search.pareto"]


def test_pages_talk_to_plain_data_only() -> None:
    targets = {t for m, t, _ in EDGES if layer(m) == "pages" and layer(t) != "pages"}
    allowed = ("engine.api", "engine.figures", "engine.lesson", "engine.live", "engine.preview")
    assert not [t for t in targets if not t.startswith(allowed) and layer(t) != "values"]


def test_streamlit_is_imported_by_pages_alone() -> None:
    for module, path in MODULES.items():
        names = {n.name for x in ast.walk(tree(path)) if isinstance(x, ast.Import) for n in x.names}
        names |= {x.module or "" for x in ast.walk(tree(path)) if isinstance(x, ast.ImportFrom)}
        if any(n.split(".")[0] == "streamlit" for n in names):
            assert layer(module) in ("pages", "scripts"), module


def test_what_shows_and_stores_imports_no_torch() -> None:
    """In a fresh interpreter, one module after the other: the first that brings torch along is named."""
    light = [m for m in MODULES if layer(m) in NO_TORCH_LAYERS or m in NO_TORCH or m.startswith("pages")]
    light = [m for m in light if not m.endswith("__main__")]
    code = (
        "import importlib, json, sys\n"
        "for name in json.loads(sys.argv[1]):\n"
        "    importlib.import_module(name)\n"
        f"    heavy = [h for h in {HEAVY} if h in sys.modules]\n"
        "    assert not heavy, f'{name} imports {heavy}'\n"
    )
    done = subprocess.run([sys.executable, "-c", code, json.dumps(light)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(light) > 15


def test_no_file_and_no_function_is_a_giant() -> None:
    giants = []
    for path in (*sources(), *sources("tests")):
        lines = path.read_text(encoding="utf-8").count("\n")
        plugin = path.parent.name in ("losses", "stages")
        if lines > (150 if plugin else 300):
            giants.append(f"{path.relative_to(ROOT)} has {lines} lines")
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                span = (node.end_lineno or 0) - node.lineno + 1
                if span > 40:
                    giants.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {span} lines")
    assert not giants, "\n".join(giants)


@pytest.mark.parametrize("path", sources("engine", "sample_models"), ids=module_name)
def test_what_is_public_says_what_it_does(path: Path) -> None:
    public = [
        n for n in tree(path).body if isinstance(n, ast.FunctionDef | ast.ClassDef) and not n.name.startswith("_")
    ]
    assert not [n.name for n in public if not ast.get_docstring(n)]
    assert ast.get_docstring(tree(path)) or not tree(path).body


def test_every_plugin_file_holds_one_plugin_with_a_test() -> None:
    from engine import registry

    words = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "tests").rglob("test_*.py"))
    for kind in ("losses", "stages", "tasks"):
        homes: dict[str, list[str]] = {}
        for name, entry in registry.registered(kind).items():
            cls = entry if isinstance(entry, type) else type(entry)
            homes.setdefault(cls.__module__, []).append(name)
        files = [m for m in MODULES if m.startswith(f"engine.{kind}.") and not m.split(".")[-1].startswith("_")]
        for module in files:
            names = homes.get(module, [])
            assert len(names) == 1, f"{module} registers {names}; one file, one plug-in"
            assert f'"{names[0]}"' in words or module in words, f"no test names {kind} {names[0]}"


def test_no_message_stands_twice_in_a_file() -> None:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), sorted({n for n in names if names.count(n) > 1})
        return dict(pairs)

    for path in sorted((ROOT / "pages" / "words").rglob("*.json")):
        json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)
