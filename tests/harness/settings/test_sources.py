import pytest

from auharness.errors import UsageError
from auharness.settings import environment_settings, flat_settings, parse_set, read_toml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("6", 6),
        ("1e-4", 1e-4),
        ("true", True),
        ("[1, 3, 5]", [1, 3, 5]),
        ('"6"', "6"),
        ("none", "none"),
        ("npz:folder", "npz:folder"),
        ("a=b", "a=b"),
        ("2020-01-01", "2020-01-01"),
        ("1\nother = 2", "1\nother = 2"),
        ("", ""),
    ],
)
def test_a_value_is_toml_or_else_text(text, value):
    assert parse_set([f"key={text}"]) == {"key": value}


def test_the_last_of_two_assignments_wins():
    assert parse_set(["a.b=1", "a.b=2", "a.c=3"]) == {"a": {"b": 2, "c": 3}}


def test_flat_settings_are_what_set_would_take():
    texts = ["recipe.epochs=6", "recipe.group.rate=0.5", "mixer=attention", "mean=[0.5, 0.5]"]
    flat = dict(flat_settings(parse_set(texts)))
    assert flat == {"recipe.epochs": 6, "recipe.group.rate": 0.5, "mixer": "attention", "mean": [0.5, 0.5]}


@pytest.mark.parametrize("text", ["recipe.epochs", "=3", "a..b=3", ".a=1", "--epochs 3"])
def test_what_is_no_assignment_is_refused(text):
    with pytest.raises(UsageError, match="expected KEY=VALUE"):
        parse_set([text])


@pytest.mark.parametrize("texts", [["recipe=3", "recipe.epochs=6"], ["recipe.epochs=6", "recipe=3"]])
def test_a_group_cannot_be_a_value_too(texts):
    with pytest.raises(UsageError, match="recipe"):
        parse_set(texts)


def test_environment_names_are_lower_cased_and_nested():
    variables = {"AUHARNESS_SET__HEAD__MAP_SIZE": "[7, 7]", "AUHARNESS_SET__MIXER": "ttt", "AUHARNESS_BLOCK": "x"}
    assert environment_settings(variables) == {"head": {"map_size": [7, 7]}, "mixer": "ttt"}


def write(tmp_path, text):
    path = tmp_path / "run.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_toml_tables_are_read_and_absent_ones_are_empty(tmp_path):
    path = write(tmp_path, '\ufeff[model.recipe]\nepochs = 6\n[data_roots]\nbp4d = "BP4D"\n')
    tables = read_toml(path)
    assert tables["model"] == {"recipe": {"epochs": 6}}
    assert tables["data_roots"] == {"bp4d": str(tmp_path / "BP4D")}
    assert tables["run"] == tables["data"] == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[modle]\na = 1\n", r"unknown entry 'modle'; did you mean 'model'\?"),
        ("epochs = 6\n", "unknown entry 'epochs'"),
        ("model = 6\n", r"'model' is 6, expected the table \[model\]"),
        ("[data_roots]\nbp4d = 6\n", "data_roots.bp4d is 6, expected a path"),
        ("[model\n", "not a TOML file: .*line 1"),
        (b"[model]\na = '\xff'\n", "not a TOML file"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(UsageError, match=message) as caught:
        read_toml(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        read_toml(tmp_path / "gone.toml")
