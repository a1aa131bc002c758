"""A shell completes `dcabot` to what its parsers take."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcabot.__main__ import COMMANDS
from tests.packaging import completion

OTHER_WAYS = {"-h", "-V"}  # they have a long form


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three files, where the build puts them below /usr/share."""
    folder = tmp_path_factory.mktemp("share")
    completion.made(folder)
    return {shell: folder / place for shell, place in completion.maker().PLACES.items()}


def every_parser() -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Each command and each action with its words."""
    return below((), completion.maker().whole_program())


def below(
    words: tuple[str, ...], parser: argparse.ArgumentParser
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    if words:
        yield words, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from below((*words, name), inner)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_accepts_its_file(shell: str, files: dict[str, Path]) -> None:
    completion.accepted(shell, files[shell])


def test_the_same_is_made_twice(files: dict[str, Path], tmp_path: Path) -> None:
    completion.made(tmp_path)
    for shell, place in completion.maker().PLACES.items():
        assert (tmp_path / place).read_bytes() == files[shell].read_bytes()


def test_bash_offers_every_command(files: dict[str, Path]) -> None:
    assert set(completion.bash(files["bash"], "")) == set(COMMANDS)
    assert set(completion.bash(files["bash"], "--")) == {"--help", "--version"}
    assert completion.bash(files["bash"], "cool") == ["cooldown-manager"]


def test_bash_offers_every_option(files: dict[str, Path]) -> None:
    for words, parser in every_parser():
        known = {option for action in parser._actions for option in action.option_strings}
        assert set(completion.bash(files["bash"], *words, "--")) == known - OTHER_WAYS, words


def test_bash_offers_every_choice(files: dict[str, Path]) -> None:
    chosen = 0
    for words, parser in every_parser():
        for action in parser._actions:
            if action.choices and action.option_strings:
                offered = completion.bash(files["bash"], *words, action.option_strings[0], "")
                assert offered == [str(choice) for choice in action.choices], words
                chosen += 1
    assert chosen > 5


def test_bash_offers_actions_and_units(files: dict[str, Path]) -> None:
    file = files["bash"]
    assert completion.bash(file, "cycle", "") == ["show", "close", "release", "adopt"]
    assert "move-account" in completion.bash(file, "db", "")
    units = (completion.ROOT / "systemd").glob("*.service")
    offered = set(completion.bash(file, "alert", ""))
    assert "dcabot.service" in offered
    assert offered == {unit.name for unit in units if "OnFailure" in unit.read_text()}


def test_bash_offers_files_and_folders(files: dict[str, Path]) -> None:
    folder = files["bash"].parent
    (folder / "prices.csv").touch()
    (folder / "kept").mkdir(exist_ok=True)
    for words in (("backtest", "--prices"), ("backtest", "--html"), ("run", "--env-file")):
        assert {"prices.csv", "kept"} <= set(completion.bash(files["bash"], *words, ""))
    for words in (("backtest", "--cache"), ("db", "--backup")):
        assert completion.bash(files["bash"], *words, "") == ["kept"]


def test_fish_offers_what_there_is(files: dict[str, Path]) -> None:
    file = files["fish"]
    assert set(completion.fish(file, "dcabot ")) == set(COMMANDS)
    assert completion.fish(file, "dcabot backtest --timefr") == ["--timeframe"]
    assert completion.fish(file, "dcabot backtest --high-low n") == ["nearest"]
    assert "dcabot.service" in completion.fish(file, "dcabot alert ")


def test_zsh_offers_what_there_is(files: dict[str, Path]) -> None:
    shown = completion.zsh(files["zsh"], "dcabot backtest --high-low ", "nearest")
    assert {"high-first", "low-first", "nearest"} <= set(re.findall(r"[\w-]+", shown))


def test_the_daemon_does_not_need_shtab() -> None:
    assert "shtab" not in (completion.ROOT / "requirements.txt").read_text()
    assert "shtab" not in (completion.ROOT / "setup.cfg").read_text()
    sources = (completion.ROOT / "dcabot").rglob("*.py")
    assert not [file for file in sources if "shtab" in file.read_text(encoding="utf-8")]
