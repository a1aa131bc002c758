"""The man pages name every command, option and default of the parsers, and nothing that is gone."""

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from tests.packaging import completion

DEBIAN = Path(__file__).parents[2] / "packaging/debian"
SETTINGS = "ASSET SETTINGS"  # a section with the options that several commands take
EVERYWHERE = {"--help", "--env-file", "--verbose"}  # at the head of COMMANDS
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
DEFAULT = re.compile(r"\(default: ([^)]*)\)")

Named = Iterator[tuple[str, argparse.ArgumentParser]]


@dataclass
class Section:
    """A part of a man page: its text, and the text of each option."""

    text: str = ""
    options: dict[str, str] = field(default_factory=dict)


@cache
def sections(page: str) -> dict[str, Section]:
    """Each .SH and .SS of a page by its heading, without its arguments."""
    text = (DEBIAN / page).read_text(encoding="utf-8")
    found = {}
    for part in re.split(r"^\.S[HS] ", text, flags=re.MULTILINE)[1:]:
        heading, _, rest = part.partition("\n")
        name = re.sub(r" *\\fI.*", "", heading.strip('"'))
        first, *paragraphs = rest.split("\n.TP\n")
        if rest.startswith(".TP\n"):
            first, *paragraphs = ("", *rest[4:].split("\n.TP\n"))
        section = found[plain(name)] = Section(" ".join(plain(first).split()))
        for paragraph in paragraphs:
            head, _, told = plain(paragraph).partition("\n")
            for option in OPTION.findall(head):
                assert option not in section.options, f"{page}: {name} tells of {option} twice"
                section.options[option] = " ".join(told.split())
    return found


def plain(text: str) -> str:
    """The words of a page without its marks."""
    text = re.sub(r"^\.[A-Z]+ ", "", text, flags=re.MULTILINE)
    return re.sub(r"\\f.", "", text).replace("\\-", "-").replace("\\&", "").replace('"', "")


def parsers() -> Named:
    """Every command, or each of its actions, by its words."""
    return below("", completion.maker().whole_program())


def below(words: str, parser: argparse.ArgumentParser) -> Named:
    inner = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    for actions in inner:
        for name, under in actions.choices.items():
            yield from below(f"{words} {name}".strip(), under)
    if not inner:
        yield words, parser


def actions_of(words: str, parser: argparse.ArgumentParser) -> list[str]:
    """The sections of a command: `db` takes its action as a choice, the others as parsers."""
    for action in parser._actions:
        if not action.option_strings and action.choices:
            return [f"{words} {choice}" for choice in action.choices]
    return [words]


def told_of(words: str, parser: argparse.ArgumentParser) -> dict[str, str]:
    """What the page says of each option of a command."""
    if words == "simulator":
        return sections("dcabot-simulator.1")["OPTIONS"].options
    page = sections("dcabot.1")
    told: dict[str, str] = {}
    for name in actions_of(words, parser):
        if SETTINGS in page[name].text:
            told |= {k: v for k, v in page[SETTINGS].options.items() if k in known(parser)}
        told |= page[name].options
    return told


def known(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """The options of a parser by their long form."""
    named = {one: action for action in parser._actions for one in action.option_strings}
    return {one: action for one, action in named.items() if one.startswith("--")}


def default_of(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """The default as the help tells it, or as it is; nothing where there is none."""
    help_text = parser._get_formatter()._expand_help(action)
    if stated := DEFAULT.search(help_text):
        return stated[1]
    is_unset = action.default is None or isinstance(action.default, bool) or action.default == []
    return "" if is_unset else str(action.default)


PARSERS = dict(parsers())


def test_every_command_has_a_section() -> None:
    names = [name for words, parser in PARSERS.items() for name in actions_of(words, parser)]
    page = (DEBIAN / "dcabot.1").read_text(encoding="utf-8")
    headings = [plain(one.strip('"')) for one in re.findall(r"^\.SS (.*)$", page, re.MULTILINE)]
    assert sorted(sections("dcabot.1").keys() & set(names)) == sorted(names)
    assert len(headings) == len(names)


@pytest.mark.parametrize("words", PARSERS)
def test_the_page_has_every_option(words: str) -> None:
    parser = PARSERS[words]
    told = told_of(words, parser)
    assert set(told) == set(known(parser)) - EVERYWHERE
    assert all(told.values())


@pytest.mark.parametrize("words", PARSERS)
def test_the_page_has_every_default(words: str) -> None:
    parser = PARSERS[words]
    told = told_of(words, parser)
    for option, action in known(parser).items():
        if option in EVERYWHERE:
            continue
        default = default_of(parser, action)
        if default:
            assert f"(default: {default})" in told[option], option
        elif words != "asset set":  # its settings have the defaults of `asset add`
            assert "(default: " not in told[option], option


def test_shared_options_are_where_they_are_told() -> None:
    commands = sections("dcabot.1")["COMMANDS"]
    assert set(commands.options) == EVERYWHERE - {"--help"}
    loud = {words.split()[0] for words, parser in PARSERS.items() if "--verbose" in known(parser)}
    assert loud <= set(re.findall(r"[\w-]+", commands_with_logs()))
    own = {words for words, parser in PARSERS.items() if "--env-file" not in known(parser)}
    assert own == {"demo", "simulator"}


def commands_with_logs() -> str:
    text = (DEBIAN / "dcabot.1").read_text(encoding="utf-8")
    return plain(text).partition("Read settings from")[2].partition("write a log")[0]


def test_the_settings_are_those_of_an_asset() -> None:
    options = sections("dcabot.1")[SETTINGS].options
    shared = set(known(PARSERS["asset add"])) & set(known(PARSERS["asset set"]))
    assert set(options) == shared - EVERYWHERE


@pytest.mark.parametrize("page", ["dcabot.1", "dcabot-simulator.1"])
def test_a_page_names_no_option_that_is_gone(page: str) -> None:
    there = {"--version"}.union(*(known(parser) for parser in PARSERS.values()))
    text = plain((DEBIAN / page).read_text(encoding="utf-8"))
    assert set(OPTION.findall(text)) <= there
