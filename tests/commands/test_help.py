"""Help texts and the pages in docs/ name what there is, and nothing else."""

import re
from functools import cache
from pathlib import Path

import pytest

from dcabot.__main__ import COMMANDS, main
from tests.programs import ROOT

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main([*words, "--help"]) == 0
    return capsys.readouterr().out


def options_of(capsys: pytest.CaptureFixture[str], command: str) -> set[str]:
    """Every option of a command and of its actions, by its own help."""
    text = told(capsys, command)
    found = set(OPTION.findall(text))
    for action in actions_in(text):
        found |= set(OPTION.findall(told(capsys, command, action)))
    return found


def actions_in(text: str) -> list[str]:
    """The actions that a help text lists."""
    block = re.search(r"^  ACTION\n((?:    .*\n)+)", text, re.MULTILINE)
    return re.findall(r"^    (\w+)", block[1], re.MULTILINE) if block else []


def test_the_list_of_commands_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")] == list(COMMANDS)
    assert main([]) == 2
    assert all(len(line) <= 120 for line in lines)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_tells_what_it_does(capsys: pytest.CaptureFixture[str], command: str) -> None:
    text = told(capsys, command)
    assert text.startswith(f"usage: dcabot {command}")
    paragraphs = text.split("\n\n")
    assert len(paragraphs[1]) > 20  # a description, not the list of options
    for action in actions_in(text):
        page = told(capsys, command, action)
        assert page.startswith(f"usage: dcabot {command} {action}")
        assert re.search(r"\n\n[A-Z][^\n]+\.\n\n", page), page  # a sentence of its own
    bare = [line for line in text.splitlines() if re.fullmatch(r"  (-h, )?--[a-z-]+( [A-Z]+)?", line)]
    for line in bare:  # an option whose help stands on the next line, not one without any
        following = text.splitlines()[text.splitlines().index(line) + 1]
        assert following.startswith("          "), f"{line.strip()} has no help"


def test_only_a_command_with_a_log_offers_to_log_more(capsys: pytest.CaptureFixture[str]) -> None:
    loud = {command for command in COMMANDS if "--verbose" in told(capsys, command)}
    assert loud == {"run", "order-manager", "cooldown-manager", "consistency-checker", "alert", "cycle"}


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_usage_of_each_command_is_one_line(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([command, "--colour", "red"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith(f"dcabot {command}")


def test_an_unknown_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dance"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "dcabot: unknown command 'dance'; `dcabot --help` lists them"


@cache
def pages() -> tuple[Path, ...]:
    return tuple(sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]))


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_what_the_pages_name_exists(capsys: pytest.CaptureFixture[str], page: Path) -> None:
    """`dcabot COMMAND ...` in backquotes and code blocks: the command, its action and its options."""
    text = page.read_text(encoding="utf-8")
    code = re.findall(r"`([^`\n]+)`", text) + [
        line
        for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]
    for words in (line.split("#")[0].split() for line in code):
        place = next((i for i, word in enumerate(words) if word.rpartition("/")[2] == "dcabot"), None)
        if place is None or words[0] not in ("dcabot", "$", ".venv/bin/dcabot") or len(words) <= place + 1:
            continue
        command, rest = words[place + 1], words[place + 2 :]
        if not re.fullmatch(r"[a-z-]+", command) or command.startswith("-"):
            continue
        assert command in COMMANDS, f"{page.name}: dcabot {command}"
        unknown = {word.partition("=")[0] for word in rest if OPTION.match(word)} - options_of(capsys, command)
        assert not unknown, f"{page.name}: dcabot {command} {unknown}"
        actions = actions_in(told(capsys, command))
        if actions and rest and re.fullmatch(r"[a-z]+", rest[0]):
            assert rest[0] in actions, f"{page.name}: dcabot {command} {rest[0]}"
