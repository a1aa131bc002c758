"""The house rules that a machine can hold: who may import whom, what the core may not know, how long things get.

A floor may import the floors below it. When a rule is in the way, move the code, or change the rule here and say why.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.programs import alpaca_for_tests, environment, sqlite_books

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dcabot"
FUNCTION_LINES = 50

# The doors of the second floor, each with its modules; a module that is not here is a door of its own.
SETTINGS = tuple(f"dcabot.adapters.{name}" for name in ("config", "sources", "dburl", "trust"))
DATABASE = tuple(
    f"dcabot.adapters.{name}"
    for name in (
        "database_errors",
        "login",
        "engines",
        "schema",
        "migrations",
        "database",
        "rows",
        "store",
        "results",
        "assets",
        "notes",
        "privileges",
        "troubles",
    )
)
DATABASE += ("dcabot.adapters.database_errors",)
EXCHANGE = tuple(
    f"dcabot.adapters.{name}"
    for name in (
        "wire",
        "budget",
        "transport",
        "latest_quotes",
        "broker",
        "bars",
        "candle_cache",
        "link",
        "room",
        "streams",
    )
)
# What the third floor works through.
WORK = ("dcabot.adapters.rows", "dcabot.adapters.store", "dcabot.adapters.database", "dcabot.adapters.broker")

# When the daemon does what: values as the core's are, but for times in a clock's seconds.
SCHEDULE = tuple(f"dcabot.commands.{name}" for name in ("schedule", "heard", "latest", "silence", "paces"))

# Which of our own modules each part may import: the longest key that fits the importer is its line. Doors do not know
# each other, only the settings they are opened with.
OUR_IMPORTS: dict[str, tuple[str, ...]] = {
    "dcabot.core": ("dcabot.core",),
    "dcabot.adapters": ("dcabot.core", *SETTINGS),
    **dict.fromkeys(DATABASE, ("dcabot.core", *SETTINGS, *DATABASE)),
    **dict.fromkeys(EXCHANGE, ("dcabot.core", *SETTINGS, *EXCHANGE)),
    "dcabot.executor": ("dcabot.core", *WORK),
    "dcabot.recovery": ("dcabot.core", *WORK),
    "dcabot.sync": ("dcabot.core", *WORK, "dcabot.executor", "dcabot.recovery"),
    "dcabot.trader": ("dcabot.core", *WORK, "dcabot.executor", "dcabot.recovery", "dcabot.sync"),
    "dcabot.simulator": ("dcabot.core", "dcabot.simulator"),
    "dcabot.mirror": ("dcabot.core", *SETTINGS, *EXCHANGE, "dcabot.simulator"),
    "dcabot.simulator.fixture": ("dcabot.pytest_plugin",),
    "dcabot.pytest_plugin": ("dcabot.simulator",),
    "dcabot.backtest": ("dcabot.core", "dcabot.backtest"),
    "dcabot.commands": ("dcabot",),
    **dict.fromkeys(SCHEDULE, ("dcabot.core", *SCHEDULE)),
    "dcabot.__main__": ("dcabot.commands",),
}

# Each library has its door; nobody else knows it is there.
LIBRARY_DOORS: dict[str, tuple[str, ...]] = {
    "alpaca": EXCHANGE,
    "requests": EXCHANGE,
    "urllib3": EXCHANGE,
    "websockets": EXCHANGE,
    "msgpack": ("dcabot.adapters.wire", "dcabot.simulator"),
    "peewee": DATABASE,
    "pymysql": DATABASE,
    "sdnotify": ("dcabot.adapters.systemd",),
    "dotenv": SETTINGS,
    "aiohttp": ("dcabot.simulator",),
    "pytest": ("dcabot.pytest_plugin",),
    "rich": ("dcabot.commands",),
    "numpy": ("dcabot.backtest",),
}

# Values and arithmetic: nothing that knows the time, the machine or chance.
CORE_MAY_IMPORT = frozenset(
    {"__future__", "abc", "bisect", "collections", "dataclasses", "datetime", "decimal", "enum", "functools"}
    | {"heapq", "itertools", "operator", "types", "typing"}
)
CLOCK_CALLS = frozenset({"now", "utcnow", "today", "total_seconds", "timestamp"})  # the last two give a float


def sources() -> Iterator[tuple[str, Path, ast.Module]]:
    """Every module of the package: its dotted name, its file, its tree."""
    for file in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield name, file, ast.parse(file.read_text(encoding="utf-8"), str(file))


def imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Each imported module with its line; `from dcabot.core import money` counts as dcabot.core.money."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are written in full here, not from the dot"
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            found = {name if is_module(name) else str(node.module) for name in names}
            yield from ((name, node.lineno) for name in sorted(found))


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return name.startswith("dcabot") and (path.is_dir() or path.with_suffix(".py").is_file())


def within(name: str, parents: tuple[str, ...]) -> bool:
    return any(name == parent or name.startswith(f"{parent}.") for parent in parents)


def own_imports(importer: str) -> tuple[str, ...]:
    keys = [key for key in OUR_IMPORTS if within(importer, (key,))]
    assert keys, f"{importer} has no line in OUR_IMPORTS: which floor is it on?"
    return OUR_IMPORTS[max(keys, key=len)]


def hold(wrong: list[str], story: str = "") -> None:
    if wrong:
        pytest.fail("\n".join([*wrong, story]), pytrace=False)


def where(file: Path, line: int) -> str:
    return f"{file.relative_to(ROOT)}:{line}"


def test_a_floor_imports_only_floors_below_it() -> None:
    wrong = [
        f"{where(file, line)}: {importer} may not import {imported}"
        for importer, file, tree in sources()
        for imported, line in imports(tree)
        if importer != "dcabot" and within(imported, ("dcabot",))
        if imported != "dcabot" and not within(imported, own_imports(importer))
    ]
    hold(wrong)


def test_no_two_modules_import_each_other() -> None:
    graph = {name: {imported for imported, _ in imports(tree) if is_module(imported)} for name, _, tree in sources()}
    # A package is not its modules: `from dcabot.core import money` inside dcabot.core is no circle.
    TopologicalSorter({name: {other for other in others if other != name} for name, others in graph.items()}).prepare()


def test_each_library_is_known_only_at_its_door() -> None:
    wrong = [
        f"{where(file, line)}: {importer} may not import {imported}"
        for importer, file, tree in sources()
        for imported, line in imports(tree)
        if (library := imported.split(".")[0]) not in sys.stdlib_module_names and library != "dcabot"
        if not within(importer, LIBRARY_DOORS.get(library, ()))
    ]
    hold(wrong)


@pytest.mark.parametrize("name", ["order-manager", "cooldown-manager", "consistency-checker"])
def test_a_caretaker_loads_neither_pandas_nor_numpy(name: str, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom dcabot.__main__ import main\n"
        f"code = main([{name!r}])\nprint(*{{'pandas', 'numpy'}} & sys.modules.keys())\nsys.exit(code)"
    )
    with alpaca_for_tests() as alpaca:
        variables = environment(tmp_path, alpaca.env(), sqlite_books(tmp_path).environment)
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    heavy = [f"{name} loads {library}" for library in done.stdout.split()]
    hold(heavy, "they come with most parts of alpaca-py, and twice the time and memory of a tick come with them")


def test_the_core_knows_only_values() -> None:
    wrong = [
        f"{where(file, line)}: the core may not import {imported}"
        for importer, file, tree in sources()
        if within(importer, ("dcabot.core",))
        for imported, line in imports(tree)
        if not within(imported, ("dcabot.core",)) and imported.split(".")[0] not in CORE_MAY_IMPORT
    ]
    hold(wrong)


def test_the_schedule_knows_only_values() -> None:
    wrong = [
        f"{where(file, line)}: the schedule may not import {imported}"
        for importer, file, tree in sources()
        if importer in SCHEDULE
        for imported, line in imports(tree)
        if not within(imported, ("dcabot",))
        if imported.split(".")[0] not in CORE_MAY_IMPORT | {"math"}
    ]
    hold(wrong)


def test_the_core_has_no_clock_no_float_and_no_output() -> None:
    wrong = [
        f"{where(file, node.lineno)}: {said}"
        for importer, file, tree in sources()
        if within(importer, ("dcabot.core",))
        for node in ast.walk(tree)
        if isinstance(node, ast.expr) and (said := forbidden_in_core(node))
    ]
    hold(wrong)


def forbidden_in_core(node: ast.expr) -> str:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCK_CALLS:
        return f"`.{node.func.attr}()`: time comes in as an argument, and durations stay timedeltas or ints"
    if isinstance(node, ast.Name) and node.id in {"float", "print", "open", "input", "__import__"}:
        return f"`{node.id}` has no place in the core"
    if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
        return f"`{node.value}` is a float: write Decimal"
    return ""


def test_floats_are_made_only_where_the_wire_speaks_them() -> None:
    wrong = [
        where(file, node.lineno)
        for importer, file, tree in sources()
        if importer not in {"dcabot.adapters.wire", "dcabot.simulator.wire"}
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"
    ]
    hold(wrong)


def test_only_the_preamble_of_the_commands_catches_everything() -> None:
    wrong = [
        where(file, node.lineno)
        for importer, file, tree in sources()
        if importer != "dcabot.commands"
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and catches_everything(node.type) and not passes_it_on(node)
    ]
    hold(wrong, "translate the errors that this door knows; anything else should crash")


def catches_everything(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(catches_everything(one) for one in caught.elts)
    return caught is None or (isinstance(caught, ast.Name) and caught.id in {"Exception", "BaseException"})


def passes_it_on(handler: ast.ExceptHandler) -> bool:
    """It only tidies up: its last word is a bare `raise`."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def test_functions_can_be_read_at_a_glance() -> None:
    long = []
    for _, file, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (size := length(node)) > FUNCTION_LINES:
                long.append(
                    f"{where(file, node.lineno)}: {node.name} has {size} lines, {FUNCTION_LINES} are the budget"
                )
    story = "Which two things does it do? Give the second one a name and a place of its own."
    hold(long, story)


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end; the docstring is free."""
    first = function.body[0]
    has_docstring = ast.get_docstring(function) is not None
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if has_docstring else 0
    return (function.end_lineno or function.lineno) - function.lineno + 1 - docstring


def test_tests_meet_a_command_only_at_its_door() -> None:
    wrong = [
        f"{where(file, node.lineno)}: {node.module} shows tests its main(argv) and its constants, nothing else"
        for file in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dcabot.commands.")
        if node.module not in SCHEDULE
        if not all(alias.name == "main" or alias.name.isupper() for alias in node.names)
    ]
    hold(wrong)
