"""The four micro-expression protocols: frozen AUs and rules, whole subjects only, published floors, printed tables."""

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from auharness import registry
from auharness.api import ProtocolPlugin
from auharness.errors import DataError
from auharness.leaderboard.published import published_clips, published_floors, published_levels
from auharness.leaderboard.reported import read_reported

LOSO = {"casme2-loso": "casme2", "samm-loso": "samm"}
CROSS = {"casme2-to-samm": ("casme2", "samm"), "samm-to-casme2": ("samm", "casme2")}
NAMES = (*LOSO, *CROSS)
# sha256 of all that makes a number of the protocol; a change needs a successor with a higher version
PINNED = {
    "casme2-loso": "895a66ba85d3d211",
    "samm-loso": "8ea88df6ca893a6f",
    "casme2-to-samm": "62dfeb970b0485e0",
    "samm-to-casme2": "87754bc60601dcfb",
}
# the columns of the printed tables
AUS = {
    "casme2-loso": (1, 2, 4, 7, 12, 14, 15, 17),
    "samm-loso": (2, 4, 7, 12),
    "casme2-to-samm": (2, 4, 7, 12),
    "samm-to-casme2": (2, 4, 7, 12),
}


class Disk:
    """Subjects that are on disk; labels and clips are not to be asked for."""

    def __init__(self, held: Mapping[str, Sequence[str]]) -> None:
        self.held = held

    def subjects(self, dataset: str) -> tuple[str, ...]:
        return tuple(sorted(self.held.get(dataset, ())))

    def clips(self, dataset: str) -> tuple[str, ...]:
        raise AssertionError("these protocols split by subject")


def protocol(name: str) -> ProtocolPlugin:
    plugin: ProtocolPlugin = registry.load("protocol", name)()
    return plugin


def some_subjects(seed: int) -> dict[str, list[str]]:
    """Both data sets with subjects of equal names, as many as chance gives."""
    chance = np.random.default_rng(seed)
    return {
        dataset: [f"{number:02}" for number in chance.choice(40, size=chance.integers(2, 30), replace=False)]
        for dataset in ("casme2", "samm")
    }


def manifest(name: str) -> str:
    plugin = protocol(name)
    what = [plugin.name, plugin.version, plugin.train_on, plugin.test_on, plugin.score_labels, plugin.metrics]
    what += [plugin.headline, plugin.aggregation, plugin.cluster, plugin.key]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", NAMES)
def test_aus_metrics_and_rules_of_a_version_are_frozen(name: str) -> None:
    assert manifest(name) == PINNED[name]
    assert protocol(name).score_labels == AUS[name]


@pytest.mark.parametrize("name", NAMES)
def test_the_headline_is_macro_f1_over_both_classes_on_pooled_predictions(name: str) -> None:
    plugin = protocol(name)
    assert (plugin.headline, plugin.aggregation) == ("macro-f1-binary", "pooled")
    assert {"f1", "average-precision", "auroc"} <= set(plugin.metrics)


@pytest.mark.parametrize(("name", "dataset"), LOSO.items())
@pytest.mark.parametrize("seed", range(10))
def test_each_subject_is_left_out_once_with_all_its_clips(name: str, dataset: str, seed: int) -> None:
    plugin, held = protocol(name), some_subjects(seed)
    folds = plugin.folds(Disk(held))
    everyone = {(dataset, subject) for subject in held[dataset]}
    # a key is a whole subject, so no clip of a tested person can train
    assert plugin.key == "subject"
    assert [fold.name for fold in folds] == sorted(held[dataset])
    for fold in folds:
        assert fold.test_ids == {(dataset, fold.name)}
        assert fold.train_ids == everyone - fold.test_ids


@pytest.mark.parametrize(("name", "sides"), CROSS.items())
@pytest.mark.parametrize("seed", range(10))
def test_all_of_one_data_set_trains_and_all_of_the_other_is_tested(
    name: str, sides: tuple[str, str], seed: int
) -> None:
    plugin, held = protocol(name), some_subjects(seed)
    (fold,) = plugin.folds(Disk(held))
    source, target = sides
    assert (plugin.key, fold.name, plugin.train_on, plugin.test_on) == ("subject", target, (source,), (target,))
    assert fold.train_ids == {(source, subject) for subject in held[source]}
    assert fold.test_ids == {(target, subject) for subject in held[target]}


@pytest.mark.parametrize("name", registry.names("protocol"))
def test_no_protocol_divides_the_clips_of_a_person(name: str) -> None:
    plugin = protocol(name)
    kinds = {registry.load("dataset", dataset).kind for dataset in (*plugin.train_on, *plugin.test_on)}
    if "clip-multilabel" in kinds:
        assert (plugin.key, plugin.cluster) == ("subject", "subject")


def test_equal_names_in_two_data_sets_are_two_people() -> None:
    (fold,) = protocol("casme2-to-samm").folds(Disk({"casme2": ["01", "02"], "samm": ["01", "02"]}))
    assert not fold.train_ids & fold.test_ids


def test_folds_that_cannot_be_made_are_refused() -> None:
    with pytest.raises(DataError, match="casme2: 1 subjects on disk; expected at least 2"):
        protocol("casme2-loso").folds(Disk({"casme2": ["01"]}))
    with pytest.raises(DataError, match="samm: 0 subjects on disk"):
        protocol("samm-loso").folds(Disk({}))
    with pytest.raises(DataError, match="samm: no subject on disk"):
        protocol("casme2-to-samm").folds(Disk({"casme2": ["01"]}))


# micro-expression counts: N = 159 with P = 18, 23, 46, 28, and the 256 rows of the updated CASME II sheet
@pytest.mark.parametrize(
    ("name", "by_label", "mean"),
    [
        ("samm-loso", [47.00, 46.10, 41.54, 45.17], 44.95),
        ("casme2-to-samm", [47.00, 46.10, 41.54, 45.17], 44.95),
        ("samm-to-casme2", [47.76, 32.98, 45.88, 46.44], 43.27),
    ],
)
def test_constant_zero_on_the_published_counts_gives_the_golden_values(
    name: str, by_label: list[float], mean: float
) -> None:
    level = published_levels(registry.load("protocol", name))["constant-0"]
    assert [round(value, 2) for value in level.by_label.values()] == by_label
    assert round(level.mean, 2) == mean


def test_constant_zero_on_casme2_is_45_4_and_constant_one_12_5() -> None:
    floors = published_floors(registry.load("protocol", "casme2-loso"))
    assert round(100 * floors["constant-0"], 1) == 45.4
    assert round(100 * floors["constant-1"], 1) == 12.5
    assert (published_clips("casme2"), published_clips("samm")) == (256, 159)


@pytest.mark.parametrize(("name", "prior", "oracle"), [("casme2-loso", 51.8, 52.1), ("samm-loso", 53.3, 54.7)])
def test_chance_on_the_published_counts_is_what_every_page_prints(name: str, prior: float, oracle: float) -> None:
    floors = published_floors(registry.load("protocol", name))
    assert 100 * floors["random-prior-p95"] == pytest.approx(prior, abs=0.2)
    assert 100 * floors["random-oracle-p95"] == pytest.approx(oracle, abs=0.25)
    assert 100 * floors["random-prior"] == pytest.approx(50, abs=0.15)


def test_the_prior_of_a_direction_is_the_one_of_its_training_data() -> None:
    # AU4 is in half of the clips of CASME II and in a seventh of SAMM's: drawing lots at the wrong rate costs 7 points
    level = published_levels(registry.load("protocol", "casme2-to-samm"))["random-prior"]
    assert level.by_label["AU4"] < 44 < 49.5 < level.by_label["AU2"]


def test_the_tables_hold_the_printed_averages() -> None:
    def means(name: str, number: int = 0) -> list[float]:
        table = read_reported(registry.load("protocol", name))[number]
        return [row.cells["mean"] for row in table.rows]

    assert means("casme2-loso") == [68.5, 62.6, 62.2, 62.7, 63.3, 62.7, 66.8, 72.6, 77.3, 78.4, 81.4, 78.8, 79.5]
    assert means("samm-loso") == [50.2, 46.4, 44.4, 49.5, 48.7, 47.3, 50.5, 52.0, 57.3, 54.2, 61.9, 57.9, 59.7]
    assert [means("casme2-loso", number) for number in (1, 2, 3)] == [
        [80.1, 79.3, 78.6, 80.4, 81.4],
        [79.8, 78.7, 77.8, 78.6, 78.8],
        [78.8, 78.7, 77.7, 79.3, 79.5],
    ]
    assert [means("samm-loso", number) for number in (1, 2, 3)] == [
        [54.5, 54.7, 58.2, 59.6, 61.9],
        [55.5, 55.6, 56.3, 56.4, 57.9],
        [54.3, 55.5, 55.3, 57.6, 59.7],
    ]
    assert (means("casme2-to-samm"), means("samm-to-casme2")) == ([37.3, 36.5, 49.9], [47.4, 46.1, 52.8])


@pytest.mark.parametrize("name", LOSO)
def test_the_ablations_name_variants_and_settings_of_the_model(name: str) -> None:
    model = registry.load("model", "au-llm")
    for table in read_reported(registry.load("protocol", name))[1:]:
        assert tuple(row.variant for row in table.rows) == model.variants
        assert set(table.setting) <= set(model.model_fields)


@pytest.mark.parametrize("name", NAMES)
def test_reported_rows_name_our_plugin_of_their_method_where_there_is_one(name: str) -> None:
    rows = [row for table in read_reported(registry.load("protocol", name)) for row in table.rows]
    # nothing public defines DVASP
    assert {row.method for row in rows if not row.model} <= {"DVASP", "DVASP-18"}
    for row in rows:
        model = registry.load("model", row.model) if row.model else None
        assert model is None or set(row.setting) <= set(model.model_fields)
