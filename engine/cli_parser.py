"""The command line's words: every command with its options. No torch; errors are one line with the nearest name."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from engine.device import DEVICES
from engine.errors import InputError, StillhouseError, unknown_name
from engine.recipe import DATA, MAX_EPOCHS, MAX_SEED
from engine.units import parse_bytes, parse_count, parse_ms, parse_share

KINDS = ("tasks", "models", "losses", "stages")
COSTS = ("packed_bytes", "onnx_bytes", "latency_ms", "macs")
PORT = 8501
MAX_SEEDS = 20  # as engine.search.replicates
MAX_SWEEP_TRIALS, MAX_BUDGET_SECONDS, MAX_TIMES = 2000, 30 * 24 * 3600, 64  # the last as engine.search.longer
_INVALID_CHOICE = re.compile(r"invalid choice: '(.*?)' \(choose from")
Commands = Any  # argparse keeps the class of its subparsers to itself


class UsageError(StillhouseError):
    """The command line does not read as a command; exit status 2."""

    exit_code = 2


class Parser(argparse.ArgumentParser):
    """argparse without its two-line errors and without abbreviations that later options could break."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing usage and leaving."""
        choice = _INVALID_CHOICE.search(message)
        if choice:
            raise unknown_name("command", choice.group(1), _commands(self))
        raise UsageError(f"{message}; `{self.prog} --help` lists what there is")

    def option_names(self) -> list[str]:
        """All long options of this parser."""
        return [name for action in self._actions for name in action.option_strings if name.startswith("--")]


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of one call; raises :class:`StillhouseError` (never exits, but for ``--help`` and ``--version``)."""
    parser = build()
    options, unknown = parser.parse_known_args(argv)
    if unknown:
        _refuse(parser, options, unknown)
    if not getattr(options, "command", None):
        raise UsageError(f"a command is missing: {', '.join(_commands(parser))}; `stillhouse --help` explains them")
    return options


def build() -> Parser:
    """The parser with all commands."""
    parser = Parser(
        prog="stillhouse", description="Distil, prune and quantize small models, and measure what it gives."
    )
    parser.add_argument("--version", action="version", version=f"stillhouse {_version()}")
    _shared(parser, None)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for add in (
        _list, _run, _sweep, _longer, _sensitivity, _results, _front, _recommend, _export, _bench,
        _app, _runner, _doctor, _catalogue, _gc, _backup, _import,
    ):  # fmt: skip
        add(commands)
    return parser


def whole(name: str, low: int, high: int) -> Callable[[str], int]:
    """A reader of whole numbers from ``low`` to ``high`` for the option ``name``."""

    def read(text: str) -> int:
        sound = re.fullmatch(r"[+-]?[0-9]{1,12}", text.strip())
        if not sound or not low <= int(text) <= high:
            raise InputError(name, text, f"a whole number from {low} to {high}")
        return int(text)

    return read


def one_of(name: str, words: Sequence[str]) -> Callable[[str], str]:
    """A reader of one of ``words``."""

    def read(text: str) -> str:
        if text not in words:
            raise unknown_name(name, text, words)
        return text

    return read


def _shared(parser: Parser, default: Any = argparse.SUPPRESS, json: bool = False) -> None:
    # SUPPRESS in the commands: an option given before the command must not be overwritten by a missing one after it
    parser.add_argument("--home", metavar="DIR", default=default,
                        help="where results are kept (STILLHOUSE_HOME; else your data folder)")  # fmt: skip
    if json:
        parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def _command(commands: Commands, name: str, help: str, json: bool = True) -> Parser:
    parser: Parser = commands.add_parser(name, help=help, description=help[:1].upper() + help[1:] + ".")
    _shared(parser, json=json)
    return parser


def _device(parser: Parser) -> None:
    parser.add_argument("--device", type=one_of("--device", DEVICES), metavar="|".join(DEVICES),
                        help="where students train (auto: on an NVIDIA card where there is one); "
                             "files are measured on the processor in any case")  # fmt: skip


def _list(commands: Commands) -> None:
    parser = _command(commands, "list", "list tasks, models, losses and stages with their settings")
    parser.add_argument("kind", nargs="?", type=one_of("list", KINDS), metavar="|".join(KINDS))


def _run(commands: Commands) -> None:
    parser = _command(commands, "run", "run one trial; what is not given is as in the task's default run")
    parser.add_argument("recipe", nargs="?", metavar="RECIPE.json", help="a recipe file instead of options")
    add = parser.add_argument
    add("--task", metavar="NAME")
    add("--teacher", action="append", metavar="NAME", help="may be repeated; also RECIPE.json, assistant:, itself:")
    add("--student", metavar="NAME")
    add("--loss", metavar="NAME:knob=value,...")
    add("--epochs", type=whole("--epochs", 1, MAX_EPOCHS), metavar="N")
    add("--stage", action="append", metavar="NAME:knob=value,...",
        help="replaces the default stages; may be repeated; 'none' for no stages")  # fmt: skip
    add("--finetune-epochs", type=whole("--finetune-epochs", 0, MAX_EPOCHS), metavar="N",
        help="epochs of training after one-shot stages (0)")  # fmt: skip
    add("--joint", action="store_true", help="all stages act in the training phase")
    add("--labels", type=whole("--labels", 1, 10**9), metavar="N", help="labelled images; the others are unlabelled")
    add("--without", metavar="CLASS", help="leave this class's images out of what the student sees")
    add("--data", type=one_of("--data", DATA), metavar="|".join(DATA))
    add("--seed", type=whole("--seed", 0, MAX_SEED), metavar="N")
    add("--seeds", type=whole("--seeds", 1, MAX_SEEDS), default=1, metavar="N",
        help="run it with N seeds, --seed and those after it, for a mean with an interval (1)")  # fmt: skip
    add("--no-recalibrate", action="store_true", help="do not append BatchNorm recalibration")
    add("--no-baseline", action="store_true", help="do not run the dense student and the baseline beside it")
    add("--test", action="store_true", help="also read the test set, once")
    _device(parser)


def _sweep(commands: Commands) -> None:
    parser = _command(commands, "sweep", "run every combination of a recipe in which values are several")
    add = parser.add_argument
    add("file", metavar="SWEEP.json", help="a recipe with lists and ranges; docs/sweeps.md describes it")
    add("--trials", type=whole("--trials", 1, MAX_SWEEP_TRIALS), metavar="N",
        help="a random part of this many trials, which can be extended later")  # fmt: skip
    add("--budget-seconds", type=whole("--budget-seconds", 1, MAX_BUDGET_SECONDS), metavar="S",
        help="pause when its trials have run for this long")  # fmt: skip
    add("--plan", action="store_true", help="say what would be run, how much is known and how long it takes")
    _device(parser)


def _longer(commands: Commands) -> None:
    help = "run trials again for longer; without any, say how far short runs can be trusted"
    parser = _command(commands, "longer", help)
    add = parser.add_argument
    add("trials", metavar="TRIAL", nargs="*", help="keys or their beginnings")
    add("--times", type=whole("--times", 2, MAX_TIMES), default=4, metavar="K", help="how many times their epochs")
    add("--plan", action="store_true", help="say what would be run and how long it takes")
    add("--task", metavar="NAME", help="without trials: the task whose short and long runs are compared")
    _device(parser)


def _sensitivity(commands: Commands) -> None:
    parser = _command(commands, "sensitivity", "measure how much each layer matters, and recommend a setting for each")
    add = parser.add_argument
    add("trial", metavar="TRIAL", help="a key or its beginning; its dense student is measured")
    add("--max-bytes", type=lambda text: parse_bytes(text, "--max-bytes"), metavar="6kB",
        help="of the packed file (what 4 bits everywhere would take)")  # fmt: skip
    add("--run", action="store_true", help="run the recommended settings as a trial")
    _device(parser)


def _table(commands: Commands, name: str, help: str) -> Parser:
    parser = _command(commands, name, help)
    parser.add_argument("--task", metavar="NAME", required=True)
    return parser


def _costs(parser: Parser) -> None:
    parser.add_argument("--cost", type=one_of("--cost", COSTS), default=COSTS[0], metavar="|".join(COSTS))
    parser.add_argument("--csv", action="store_true", help="print a table for a spreadsheet")


def _results(commands: Commands) -> None:
    _costs(_table(commands, "results", "list every measured point of a task, cheapest first"))


def _front(commands: Commands) -> None:
    _costs(_table(commands, "front", "list the Pareto front of a task: nothing is both better and cheaper"))


def _recommend(commands: Commands) -> None:
    parser = _table(commands, "recommend", "name the best measured point within a budget")
    add = parser.add_argument
    add("--max-bytes", type=lambda text: parse_bytes(text, "--max-bytes"), metavar="100kB", help="of the packed file")
    add("--max-latency", type=lambda text: parse_ms(text, "--max-latency"), metavar="1ms", help="of one example")
    add("--max-macs", type=lambda text: parse_count(text, "--max-macs"), metavar="700k", help="of one example")
    add("--min-quality", type=lambda text: parse_share(text, "--min-quality"), metavar="0.88", help="on validation")
    add("--any-machine", action="store_true", help="count times of all machines, not only of this one")


def _export(commands: Commands) -> None:
    parser = _command(commands, "export", "write a trial's files and how to run them into a folder")
    parser.add_argument("trial", metavar="TRIAL", help="a key or its beginning")
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument("--force", action="store_true", help="write into a folder that holds files already")


def _bench(commands: Commands) -> None:
    parser = _command(commands, "bench", "time exported folders on this machine")
    add = parser.add_argument
    add("folders", metavar="DIR", nargs="+", help="what `stillhouse export` wrote; ratios are to the first one")
    add("--threads", type=whole("--threads", 1, 1024), default=1, metavar="N", help="threads of a model (1)")
    add("--batches", default="1,8,32", metavar="1,8,32", help="examples in a call")
    add("--seconds", default="1.5", metavar="S", help="how long to aim for (1.5)")


def _app(commands: Commands) -> None:
    parser = _command(commands, "app", "serve the pages and run trials", json=False)
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS",
                        help="0.0.0.0 serves this network as well; needs --join-code or --i-know")  # fmt: skip
    parser.add_argument("--port", type=whole("--port", 1, 65535), default=PORT, metavar="N")
    parser.add_argument(
        "--join-code", metavar="CODE", help="people type it once to come in (else: STILLHOUSE_JOIN_CODE)"
    )
    parser.add_argument("--cap", type=whole("--cap", 1, 10_000), metavar="N",
                        help="trials that a person may have queued or running (20 with a join code)")  # fmt: skip
    parser.add_argument("--i-know", action="store_true",
                        help="serve other machines without a code: whoever reaches it can start trials")  # fmt: skip
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME",
                        help="another name of this machine, as browsers type it; may be repeated")  # fmt: skip
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    _device(parser)


def _runner(commands: Commands) -> None:
    _device(_command(commands, "runner", "run queued trials in the foreground", json=False))


def _doctor(commands: Commands) -> None:
    _command(commands, "doctor", "say what is installed, what this machine can do and where results are")


def _catalogue(commands: Commands) -> None:
    _command(commands, "catalogue", "write engine/catalogue.json from the plug-ins", json=False)


def _gc(commands: Commands) -> None:
    parser = _command(commands, "gc", "take away orphaned artifacts, old caches and what killed exports left")
    parser.add_argument("--older-than", type=whole("--older-than", 0, 36_500), default=30, metavar="DAYS",
                        help="days without use after which a cache entry goes (30)")  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="say what would go and touch nothing")


def _backup(commands: Commands) -> None:
    parser = _command(commands, "backup", "write results, sweeps and notes into one file, while everything goes on")
    parser.add_argument("file", metavar="FILE.zip")
    parser.add_argument("--artifacts", action="store_true", help="with the files of every trial")
    parser.add_argument("--force", action="store_true", help="replace a file that is there already")


def _import(commands: Commands) -> None:
    parser = _command(commands, "import", "add another home's results, or another machine's times, to this one")
    parser.add_argument("source", metavar="FILE|HOME",
                        help="a backup, another home's folder or store, or what `bench --json` printed")  # fmt: skip


def _commands(parser: argparse.ArgumentParser) -> list[str]:
    actions = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return list(actions[0].choices) if actions else []


def _refuse(parser: Parser, options: argparse.Namespace, unknown: Sequence[str]) -> NoReturn:
    actions = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    name = getattr(options, "command", None)
    used = actions[0].choices[name] if name else parser
    word = unknown[0].split("=")[0]
    if not word.startswith("-"):
        raise UsageError(f"{name or 'stillhouse'}: {unknown[0]!r} is one word too many; quote what belongs together")
    raise unknown_name(f"{name or 'stillhouse'}: option", word, used.option_names())


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("stillhouse")
    except PackageNotFoundError:
        return "from an uninstalled folder"
