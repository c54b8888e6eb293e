"""``bench.py`` of an exported folder: the measuring modules of this package joined into one file.

A joined file is the modules one after the other. Imports between them are left out, since everything has one name
space; the others are collected at the top. The last module is the program: its docstring becomes the file's.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Sequence
from pathlib import Path

PACKAGE = "engine"
HERE = Path(__file__).parent
PARTS = tuple(HERE / f"{name}.py" for name in ("intervals", "machine", "latency_worker", "campaign", "bench"))


@functools.cache
def source() -> str:
    """The text of ``bench.py``: the same for the same program."""
    return joined(PARTS)


def joined(parts: Sequence[Path]) -> str:
    """One program made of modules, each of which may use what stands in those before it.

    Raises ValueError where two modules give one name different meanings, or import another of the package.
    """
    texts = [path.read_text(encoding="utf-8") for path in parts]
    trees = [ast.parse(text) for text in texts]
    names = {f"{PACKAGE}.{path.parent.name}.{path.stem}" for path in parts}
    _check_names(trees)
    imports = _lines([node for tree in trees for node in tree.body], names)
    bodies = [f"# --- {p.stem} ---\n\n{_body(text, t)}" for p, text, t in zip(parts, texts, trees, strict=True)]
    document = ast.get_source_segment(texts[-1], trees[-1].body[0]) if ast.get_docstring(trees[-1]) else '""""""'
    future = "from __future__ import annotations"
    return "\n\n".join([str(document), future, "\n".join(imports), *bodies]).rstrip() + "\n"


def _lines(nodes: Sequence[ast.stmt], parts: set[str]) -> list[str]:
    """What the modules import from outside, in order and each once."""
    plain: set[str] = set()
    named: dict[str, set[str]] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            plain |= {ast.unparse(name) for name in node.names}
        elif isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == PACKAGE:
            if node.module not in parts or any(name.asname for name in node.names):
                raise ValueError(f"line {node.lineno}: a single file cannot hold what it imports of {node.module}")
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            named.setdefault(str(node.module), set()).update(ast.unparse(name) for name in node.names)
    rest = [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(named.items())]
    return [*(f"import {name}" for name in sorted(plain)), *rest]


def _body(text: str, tree: ast.Module) -> str:
    """A module's text without its docstring and the imports at its top."""
    lines = text.splitlines()
    gone: list[ast.stmt] = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
    gone += tree.body[:1] if ast.get_docstring(tree) else []
    out = {number for n in gone for number in range(n.lineno, (n.end_lineno or n.lineno) + 1)}
    return "\n".join(line for number, line in enumerate(lines, 1) if number not in out).strip() + "\n"


def _check_names(trees: Sequence[ast.Module]) -> None:
    meanings: dict[str, str] = {}
    for node in (node for tree in trees for node in tree.body):
        for name in _defined(node):
            if meanings.setdefault(name, ast.dump(node)) != ast.dump(node):
                raise ValueError(f"two of the modules give the name {name} different meanings")


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
