"""What a run said of its samples: probabilities, decisions, and which answers it was surest of."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from auharness.explain.loaded import LoadedRun, Sample
from auharness.results.schema import UnitRecord

__all__ = ["Answer", "answer_of", "outputs_of", "probabilities", "surest", "threshold_of"]

EACH = 2
"""So many right and so many wrong answers are shown unasked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One output of one sample."""

    score: float
    probability: float
    """NaN for margins."""
    said: str
    """The decision in words."""
    truth: str
    """The label in words; `unknown` where it is not coded or not scored."""
    right: bool | None
    """None where the truth is unknown."""

    @property
    def text(self) -> str:
        """For the title of a picture."""
        number = f"p = {self.probability:.2f}" if np.isfinite(self.probability) else f"score {self.score:.2f}"
        return f"{number}, predicted {self.said}, true {self.truth}"


def answer_of(sample: Sample, output: str, scores: NDArray[np.float64]) -> Answer:
    """Return what a network says of a sample.

    Args:
        sample: knows its truth.
        output: name of the output that is explained.
        scores: `[A]` in the order of the unit's outputs.
    """
    unit = sample.unit
    place = unit.outputs.index(output)
    score, probability = float(scores[place]), float(probabilities(unit, scores[None])[0, place])
    if unit.kind == "classes":
        said = unit.columns[int(np.argmax([scores[unit.outputs.index(name)] for name in unit.columns]))]
        true = next((name for name, value in sample.truth.items() if value == 1), None)
        return Answer(score, probability, said, true or "unknown", None if true is None else said == true)
    present = score >= threshold_of(unit, output)
    value = sample.truth.get(output, -1)
    words = {1: "present", 0: "absent", -1: "unknown"}
    right = None if value < 0 else present == bool(value)
    return Answer(score, probability, "present" if present else "absent", words[value], right)


def outputs_of(sample: Sample, scores: NDArray[np.float64]) -> list[str]:
    """Return the outputs worth a look: the predicted class and the true one, or AUs that are present or predicted.

    Where no AU is either, it is the one with the highest score.
    """
    unit = sample.unit
    if unit.kind == "classes":
        answer = answer_of(sample, unit.columns[0], scores)
        return list(dict.fromkeys(name for name in (answer.said, answer.truth) if name in unit.outputs))
    found = [
        name
        for name in unit.columns
        if sample.truth[name] == 1 or scores[unit.outputs.index(name)] >= threshold_of(unit, name)
    ]
    return found or [max(unit.columns, key=lambda name: float(scores[unit.outputs.index(name)]))]


def surest(run: LoadedRun, *, each: int = EACH) -> list[tuple[Sample, str]]:
    """Return the samples with the most confident right answers, then those with the most confident wrong ones.

    Right answers are a class or an AU that is there and was found. A sample is listed once. Test samples of all seeds
    compete; of equals the first wins.
    """
    table = pd.concat([_candidates(run, unit) for unit in run.units], ignore_index=True)
    table = table.sort_values("sure", ascending=False, kind="stable")
    rows = run.predictions
    found: list[tuple[Sample, str]] = []
    for right in (True, False):
        taken = [sample.id for sample, _ in found]
        best = table[(table["right"] == right) & ~table["sample_id"].isin(taken)].drop_duplicates("sample_id")
        for name, unit_id, output in best.head(each)[["sample_id", "unit_id", "output"]].itertuples(index=False):
            chosen = rows[(rows["sample_id"] == name) & (rows["unit_id"] == unit_id)]
            found.append((run.samples(chosen)[0], str(output)))
    return found


def _candidates(run: LoadedRun, unit: UnitRecord) -> pd.DataFrame:
    """Columns `sample_id`, `unit_id`, `output`, `right` and `sure`, 0 or more: how far the answer is from the other."""
    rows = run.predictions[run.predictions["unit_id"] == unit.unit_id]
    scores = rows[list(unit.outputs)].to_numpy(np.float64)
    truth = rows[[f"{name}.target" for name in unit.columns]].to_numpy(np.int64)
    places = [unit.outputs.index(name) for name in unit.columns]
    ids = rows["sample_id"].to_numpy()
    if unit.kind == "classes":
        said = scores[:, places].argmax(axis=1)
        known = (truth == 1).any(axis=1)
        made = {
            "sample_id": ids,
            "output": np.array(unit.columns)[said],
            "right": truth[np.arange(len(rows)), said] == 1,
            "sure": np.sort(scores[:, places], axis=1)[:, -1] - np.sort(scores[:, places], axis=1)[:, -2],
        }
        return pd.DataFrame(made)[known].assign(unit_id=unit.unit_id)
    margin = scores[:, places] - np.array([threshold_of(unit, name) for name in unit.columns])
    present = margin >= 0
    # an AU that is rightly not found has nothing to show
    shown = (truth >= 0) & ((truth == 1) | present)
    row, column = np.nonzero(shown)
    made = {
        "sample_id": ids[row],
        "output": np.array(unit.columns)[column],
        "right": present[row, column] == (truth[row, column] == 1),
        "sure": np.abs(margin[row, column]),
    }
    return pd.DataFrame(made).assign(unit_id=unit.unit_id)


def threshold_of(unit: UnitRecord, output: str) -> float:
    """Return the score from which on an output counts as present; of an output that is not scored the plain one."""
    if output in unit.columns and unit.thresholds:
        return unit.thresholds[unit.columns.index(output)]
    return 0.5 if unit.score_kind == "probability" else 0.0


def probabilities(unit: UnitRecord, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities of scores `[N,A]`; NaN for margins."""
    if unit.score_kind == "probability":
        return scores
    if unit.score_kind == "margin":
        return np.full_like(scores, np.nan)
    if unit.kind == "classes":
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    return np.asarray(1 / (1 + np.exp(-scores)))
