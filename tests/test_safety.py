"""What the code must not contain: unpickling, evaluation of text, shells, silent failures, traces of one machine."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

FOLDERS = ("engine", "sample_models", "sample_data", "pages", "benchmarks", "tools")
SHIPPED = [ROOT / "app.py", *(p for f in FOLDERS for p in sorted((ROOT / f).rglob("*.py")))]
PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {
    "eval": "evaluates text",
    "exec": "executes text",
    "torch.save": "writes a pickle; use safetensors",
    "os.system": "runs a shell",
    "yaml.load": "builds any object",
    "pd.read_pickle": "unpickles",
    "pandas.read_pickle": "unpickles",
}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def dotted(node: ast.AST) -> str:
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def problems(source: str) -> list[str]:
    """What is wrong in one file, with lines."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [f"{node.lineno}: imports {n}" for n in names if n.split(".")[0] in PICKLES]
        if isinstance(node, ast.Call):
            found += _call_problems(node)
        if isinstance(node, ast.ExceptHandler) and _is_silent(node):
            found.append(f"{node.lineno}: swallows every error")
        if isinstance(node, ast.Assert):
            found.append(f"{node.lineno}: assert in shipped code vanishes under -O; raise an error")
    return found


def _call_problems(node: ast.Call) -> list[str]:
    name = dotted(node.func)
    words = {k.arg: k.value for k in node.keywords}
    found = [f"{node.lineno}: {name} {CALLS[name]}"] if name in CALLS else []
    if name == "torch.load" and not _is_true(words.get("weights_only")):
        found.append(f"{node.lineno}: torch.load without weights_only=True unpickles")
    if _is_true(words.get("allow_pickle")):
        found.append(f"{node.lineno}: allow_pickle=True unpickles")
    if _is_true(words.get("shell")):
        found.append(f"{node.lineno}: shell=True")
    return found


def _is_true(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _is_silent(node: ast.ExceptHandler) -> bool:
    everything = node.type is None or dotted(node.type) in ("Exception", "BaseException")
    return everything and all(isinstance(n, ast.Pass | ast.Continue) for n in node.body)


@pytest.mark.parametrize("path", [p for p in SHIPPED if p.exists()], ids=name_of)
def test_shipped_code_is_free_of_it(path: Path) -> None:
    assert not problems(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "eval('1')",
        "exec('1')",
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "np.load(p, allow_pickle=True)",
        "subprocess.run('ls', shell=True)",
        "assert x",
        "try: f()\nexcept Exception: pass",
        "try: f()\nexcept: pass",
    ],
)
def test_the_check_itself_finds(line: str) -> None:
    assert problems(line)


@pytest.mark.parametrize(
    "line",
    [
        "model.eval()",
        "torch.load(p, weights_only=True)",
        "np.load(p, allow_pickle=False)",
        "spec.loader.exec_module(m)",
    ],
)
def test_the_check_itself_leaves_alone(line: str) -> None:
    assert not problems(line)


# Written in halves, so that this file does not find itself.
TRACES = {
    "a path of one machine": r"(?<![\w.])/(?:wo" + r"rk|fa" + r"rm|ro" + r"ot|Use" + r"rs|ho" + r"me/[a-z]\w+)/[\w.]",
    "the folder of a build machine": r"/tmp/ba" + r"sh_jobs|/\.libr" + r"ary/",
    "a registry's address": r"https?://[^\s)\"']*(?:py" + r"pi|python" + r"hosted|np" + r"mjs|deb" + r"ian\.org)",
}


def test_tracked_files_hold_no_trace_of_one_machine() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, cwd=ROOT, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if not path.is_file() or b"\0" in path.read_bytes()[:4096]:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for what, pattern in TRACES.items():
            found += [f"{name}: {what}: {m.group(0)}" for m in re.finditer(pattern, text)]
    assert not found, "\n".join(found)


def test_the_server_listens_on_this_machine_alone_and_reports_nothing() -> None:
    import tomllib

    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert settings["server"]["address"] == "127.0.0.1"
    assert settings["browser"]["gatherUsageStats"] is False
