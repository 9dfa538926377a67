from pathlib import Path

import pytest

from auharness.errors import UsageError
from auharness.gate.policy import AccuracyPolicy, RowPolicy, SpeedPolicy, read_policy

ROW = '[[accuracy.rows]]\nprotocol = "bp4d-3fold"\nmodel = "au-ttt"\n'


def _read(folder: Path, text: str | bytes):
    path = folder / "gate.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_policy(path)


def test_defaults_are_the_decided_thresholds(tmp_path: Path) -> None:
    policy = _read(tmp_path, f"[speed]\n{ROW}")
    assert (policy.accuracy.delta, policy.accuracy.level) == (1.0, 0.95)
    speed = policy.speed
    assert (speed.rounds, speed.p_value, speed.slowdown, speed.noise_factor) == (10, 0.002, 5.0, 3.0)


def test_the_nearest_threshold_counts() -> None:
    rows = [RowPolicy(protocol="p", model="m", delta=delta) for delta in (None, 0.5)]
    policy = AccuracyPolicy(delta=3.0, metrics={"uar": 2.0}, rows=tuple(rows))
    assert [policy.allowed(row, name) for row in rows for name in ("f1", "uar")] == [3.0, 2.0, 0.5, 0.5]
    speed = SpeedPolicy.model_validate({"slowdown": 7.0, "benchmarks": {"scan": {"slowdown": 30.0}}})
    assert (speed.allowed("scan"), speed.allowed("other")) == (30.0, 7.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[acuracy]\n", "no setting 'acuracy'; did you mean 'accuracy'?"),
        (f"[accuracy]\ndleta = 2.0\n{ROW}", "accuracy: 'accuracy' has no setting 'dleta'; did you mean 'delta'?"),
        (
            f"{ROW}presett = 'tiny'\n",
            "accuracy.rows.0: 'accuracy.rows' has no setting 'presett'; did you mean 'preset'?",
        ),
        ("[speed]\nround = 10\n", "did you mean 'rounds'?"),
        ("[speed.benchmarks.scan]\nslow = 3.0\n", "speed.benchmarks.scan: 'speed.benchmarks' has no setting 'slow'"),
        ("[speed]\nrounds = 9\n", "speed.rounds is 9, expected greater than or equal to 10"),
        ("[speed]\nrounds = '20'\n", "speed.rounds is '20', expected a valid integer"),
        ("[speed]\np_value = 0.5\n", "speed.p_value is 0.5"),
        ("[speed]\nslowdown = nan\n", "speed.slowdown is nan, expected a finite number"),
        (f"[accuracy]\ndelta = 0\n{ROW}", "accuracy.delta is 0, expected greater than 0"),
        (f"[accuracy]\ndelta = inf\n{ROW}", "accuracy.delta is inf"),
        (f"[accuracy]\nmetrics = {{ f1 = nan }}\n{ROW}", "metrics.f1 is nan"),
        ("[accuracy]\n", "accuracy.rows: missing"),
        ("[accuracy]\nrows = []\n", "expected at least one [[accuracy.rows]]"),
        ("", "expected a table [accuracy] or [speed]"),
        ("[speed]\nrounds = 10\nrounds = 12\n", "not a TOML file"),
        ("[speed]\n[speed]\n", "not a TOML file"),
        ("[speed\n", "not a TOML file"),
        (b"\xff\xfe", "not a TOML file"),
        (f"[speed]\nrounds = {'9' * 5000}\n", "not a TOML file"),
        ("[speed]\n" + "x" * 10_000_000, "larger than 256 KiB"),
        (f"speed = {'[' * 50_000}", "nested too deeply"),
    ],
)
def test_a_broken_policy_is_one_line_that_says_where(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(UsageError) as error:
        _read(tmp_path, text)
    assert message in str(error.value)
    assert str(error.value).startswith(f"{tmp_path / 'gate.toml'}: ")
    assert len(str(error.value)) < 500 and "\n" not in str(error.value)


def test_every_problem_of_a_policy_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        _read(tmp_path, "[speed]\nrounds = 1\nslowdown = -1.0\n")
    assert len(str(error.value).splitlines()) == 2


def test_a_policy_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_policy(tmp_path / "gate.toml")
