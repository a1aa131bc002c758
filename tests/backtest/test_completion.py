"""In a shell, `dcabot backtest` completes to what its parser takes."""

import re
import subprocess

import pytest

from dcabot.commands.backtest import main
from tests.programs import ROOT

COMPLETION = ROOT / "packaging" / "debian" / "dcabot.bash-completion"
# What the shell's own library would do, as far as the script asks for it.
LIBRARY = """
_init_completion() {
    cword=$COMP_CWORD words=("${COMP_WORDS[@]}")
    cur=${words[cword]} prev=${words[cword-1]}
}
_filedir() { COMPREPLY=("a file$*"); }
"""


def completed(*words: str) -> list[str]:
    """What is offered for the last of these words."""
    script = f'{LIBRARY}source "{COMPLETION}"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _dcabot; '
    script += "printf '%s\\n' \"${COMPREPLY[@]}\""
    done = subprocess.run(["bash", "-c", script, "bash", "dcabot", *words], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit):
        main(["--help"])
    return capsys.readouterr().out


def test_every_flag_of_a_backtest_is_completed(told: str) -> None:
    flags = set(re.findall(r"^  (?:-h, )?(--[a-z-]+)", told, re.MULTILINE))

    assert len(flags) > 30
    assert set(completed("backtest", "--")) == flags
    assert completed("backtest", "BTC/USD", "--high") == ["--high-low"]


def test_choices_and_files_are_completed(told: str) -> None:
    choices = dict(re.findall(r"^  (--[a-z-]+) \{([^}]*)\}", told, re.MULTILINE))

    assert len(choices) >= 3
    for flag, values in choices.items():
        assert completed("backtest", flag, "") == values.split(",")
    assert all(completed("backtest", flag, "") == ["a file"] for flag in ("--prices", "--settings", "--html"))
    assert completed("backtest", "--cache", "") == ["a file-d"]
