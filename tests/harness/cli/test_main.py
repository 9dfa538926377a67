import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from auharness import cli, errors
from auharness.cli import build_parser, main
from auharness.cli.common import Parser, emit, text_table


def with_handler(monkeypatch, handler):
    """Make `list` call another handler."""

    def add_parser(subparsers):
        subparsers.add_parser("list").set_defaults(handler=handler)

    monkeypatch.setattr(cli, "import_module", lambda name: SimpleNamespace(add_parser=add_parser))
    monkeypatch.setattr(cli, "VERBS", ("list",))


def raising(error):
    def handler(args):
        raise error

    return handler


def test_no_argument_and_help_print_the_commands(capsys):
    assert main([]) == main(["--help"]) == 0
    words = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("    ")]
    assert all(words.count(verb) == 2 for verb in cli.VERBS)


def test_every_command_has_a_handler_help_and_the_common_options():
    parser = build_parser()
    for verb in cli.VERBS:
        assert main([verb, "--help"]) == 0
    assert parser.parse_args(["list", "--json", "--quiet", "--no-color"]).json


def test_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("auharness 0.")


@pytest.mark.parametrize("error", [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")])
def test_a_user_error_is_one_line_and_its_exit_code(monkeypatch, capsys, error):
    with_handler(monkeypatch, raising(error("what is wrong")))
    assert main(["list"]) == error.exit_code
    assert capsys.readouterr() == ("", "auharness: error: what is wrong\n")


def test_several_problems_are_one_line_each(monkeypatch, capsys):
    with_handler(monkeypatch, raising(errors.UsageError("one\ntwo")))
    assert main(["list"]) == 2
    assert capsys.readouterr().err == "auharness: error: one\nauharness: error: two\n"


def test_trace_shows_where_a_user_error_came_from(monkeypatch, capsys):
    with_handler(monkeypatch, raising(errors.UsageError("one")))
    monkeypatch.setenv("AUHARNESS_TRACE", "1")
    assert main(["list"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_130(monkeypatch, capsys):
    with_handler(monkeypatch, raising(KeyboardInterrupt()))
    assert main(["list"]) == 130
    assert capsys.readouterr().err == "auharness: interrupted\n"


def test_a_bug_keeps_its_traceback(monkeypatch):
    with_handler(monkeypatch, raising(ZeroDivisionError("bug")))
    with pytest.raises(ZeroDivisionError):
        main(["list"])


def test_a_wrong_argument_is_one_line_with_exit_code_2(capsys):
    assert main(["list", "animals"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("auharness: error: argument kind: invalid choice: 'animals'")
    assert message.count("\n") == 1


def test_long_options_are_not_abbreviated(capsys):
    assert main(["list", "--js"]) == 2
    assert "--js" in capsys.readouterr().err


def test_a_closed_pipe_is_quiet():
    program = "import sys; from auharness.cli import main; sys.exit(main(['list', '--json']))"
    first = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert first.stdout is not None and first.stderr is not None
    first.stdout.close()
    assert (first.stderr.read(), first.wait()) == (b"", 141)
    first.stderr.close()


def test_emit_makes_text_only_when_it_is_wanted(capsys):
    parser = Parser(parents=[cli.common.common_options()])
    emit(parser.parse_args(["--json"]), {"a": 1}, lambda: pytest.fail("not wanted"))
    assert json.loads(capsys.readouterr().out) == {"a": 1}
    emit(parser.parse_args([]), {"a": 1}, lambda: "shown")
    assert capsys.readouterr().out == "shown\n"


def test_text_table_aligns_columns():
    assert text_table(["a", "bb"], [["xxx", 1], ["y", 22]]) == "a    bb\nxxx  1\ny    22"
