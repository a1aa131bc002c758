"""A test that runs a program asks for it in a way that ./test knows of, so that a fresh machine has it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import needs

ROOT = Path(__file__).parents[1]
FILES = [*sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "benchmarks").rglob("*.py"))]
# Of packages that every Debian has (Essential), and of apt's own.
ALWAYS_THERE = {"bash", "dpkg-deb", "nice", "nsenter", "setpriv", "setsid", "sh", "tar", "unshare"}
STARTERS = {f"subprocess.{name}" for name in ("Popen", "run", "check_call", "check_output")}
# It is run by hand too, where there may be no Debian.
NEVER_ASKS = {"tests/needs.py", "tests/integration_world.py"}


def started(tree: ast.Module) -> Iterator[str]:
    """The programs that a module starts by name, where the name is there to be read."""
    lists: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            lists.setdefault(node.targets[0].id, []).append(node.value)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.func) in STARTERS:
            yield from first_words(node.args[0], lists)


def first_words(command: ast.expr, lists: dict[str, list[ast.expr]]) -> Iterator[str]:
    if isinstance(command, ast.Name):
        for value in lists.get(command.id, []):
            if not isinstance(value, ast.Name):
                yield from first_words(value, lists)
    elif isinstance(command, ast.Starred):
        yield from first_words(command.value, lists)
    elif isinstance(command, ast.List | ast.Tuple) and command.elts:
        yield from first_words(command.elts[0], lists)
    elif isinstance(command, ast.Constant) and isinstance(command.value, str):
        yield command.value


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_each_program_is_installed(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    known = {*ALWAYS_THERE, *needs.FOR_PACKAGING}
    unknown = set(started(tree)) - known
    assert not unknown, f'write needed("...") for these, and list them in tests/needed-programs: {unknown}'


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nobody_skips_by_himself(file: Path) -> None:
    """`shutil.which` and a skip would be a skip in CI too; `needed` fails there."""
    asks = "shutil.which" in file.read_text(encoding="utf-8")
    may = str(file.relative_to(ROOT)) in {*NEVER_ASKS, "tests/test_needs.py"}
    assert may or not asks, "write needed(...) of tests/needs.py instead of shutil.which"


def test_the_reader_finds_a_program() -> None:
    text = 'a = ["b", x]; subprocess.run([*a, x]); subprocess.Popen(("c", x)); subprocess.run([x, "y"])'
    assert set(started(ast.parse(text))) == {"b", "c"}


def test_a_program_is_asked_for_by_name() -> None:
    with pytest.raises(AssertionError, match="not in tests/needed-programs"):
        needs.found("no-such-program")


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_a_missing_program_fails_in_ci(monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(needs, "PLACES", "/nowhere")
    with pytest.raises(outcome, match="apt install groff-base"):
        needs.needed("groff")
