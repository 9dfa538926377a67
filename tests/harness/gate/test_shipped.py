import re
from pathlib import Path

from auharness import registry
from auharness.gate.policy import read_policy
from auharness.leaderboard.entries import read_entries
from auharness.metrics import METRICS, aggregate

ROOT = Path(__file__).parents[3]
WORKFLOW = (ROOT / ".github" / "workflows" / "gate.yml").read_text(encoding="utf-8")
POLICY = read_policy(ROOT / "gate.toml")


def test_the_shipped_policy_keeps_the_decided_thresholds() -> None:
    assert (POLICY.accuracy.delta, POLICY.accuracy.level) == (1.0, 0.95)
    speed = POLICY.speed
    assert (speed.rounds, speed.p_value, speed.slowdown, speed.noise_factor) == (10, 0.002, 5.0, 3.0)
    assert set(POLICY.accuracy.metrics) <= set(METRICS)


def test_every_row_of_the_shipped_policy_has_a_committed_record_and_a_run_in_the_workflow() -> None:
    for row in POLICY.accuracy.rows:
        assert row.preset in registry.load("model", row.model).presets
        found = list((ROOT / POLICY.trees.records / row.protocol / row.model).glob("*/run.json"))
        assert found, row.title
        words = f"auharness run --model {row.model} --protocol {row.protocol} --data-size {row.data_size}"
        assert words in WORKFLOW


def test_the_committed_network_has_something_to_lose() -> None:
    # one at the level of a constant would pass when it collapses into a constant
    entries, broken = read_entries(ROOT / POLICY.trees.records, protocol="bp4d-3fold")
    scores = {entry.run.model: aggregate(entry.counts, METRICS["f1"], "fold-mean").mean for entry in entries}
    assert not broken
    assert scores["au-ttt"] > scores["constant"] + 0.1


def test_benchmarks_of_the_shipped_policy_exist() -> None:
    for name in POLICY.speed.benchmarks:
        path, function, *_ = re.split(r"::|\[", name)
        assert f"def {function}(" in (ROOT / path).read_text(encoding="utf-8")
    paths = [word for command in POLICY.speed.commands for word in command.argv if word.endswith(".py")]
    assert paths and all((ROOT / path).is_file() for path in paths)


def test_actions_are_pinned_by_digest_and_the_job_may_only_read() -> None:
    used = re.findall(r"uses: (\S+)(.*)", WORKFLOW)
    assert len(used) == 3
    for action, remark in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", remark), action
    assert "permissions:\n  contents: read\n" in WORKFLOW
    assert "pull_request_target" not in WORKFLOW


def test_the_workflow_runs_the_gate_on_the_shipped_policy() -> None:
    assert "auharness gate --baseline HEAD^1 --policy gate.toml" in WORKFLOW
