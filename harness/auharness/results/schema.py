"""The records that a run leaves on disk: versioned, closed to unknown fields, readable without torch."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["SCHEMA_VERSION", "ClusterCounts", "DataInfo", "RunRecord", "UnitRecord", "UnitRef"]

SCHEMA_VERSION = 1

Selection = Literal["last", "inner-val", "test-oracle"]
Threshold = Literal["fixed-0.5", "train-tuned", "test-oracle"]
Origin = Literal["measured", "reported"]
DataOrigin = Literal["licensed", "synthetic"]
NonNegative = Annotated[int, Field(ge=0)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class ClusterCounts(_Record):
    """Counts of one sampling unit (a subject, video or clip) in the test part: enough to recompute every interval."""

    name: str
    n_rows: NonNegative
    counts: tuple[tuple[NonNegative, ...], ...]
    """Binary labels: one (TP, FP, FN, TN) per scored label; classes: one row of the confusion matrix per true class."""


class DataInfo(_Record):
    """Which data a unit used."""

    origin: DataOrigin
    verified: bool | None
    """Whether the counts equal the published ones; None where nothing is published."""
    size: str = ""
    """Size of the synthetic stand-in; empty for licensed data."""
    manifests: dict[str, str]
    """Dataset name -> sha256 of its label files, media names and sizes."""
    settings: dict[str, dict[str, Any]] = {}
    """Dataset name -> every setting of its reader but the root; empty in records from before it was kept."""


class UnitRecord(_Record):
    """`unit.json`: one fold and seed, written last; its presence means that the unit is finished."""

    schema_version: Literal[1] = 1
    unit_id: str
    run_id: str
    model: str
    protocol: str
    protocol_version: int
    fold: str
    seed: int
    preset: str
    """The composed presets, e.g. `tiny,baseline`."""
    settings: dict[str, Any]
    origin: Origin = "measured"
    data: DataInfo
    kind: Literal["binary", "classes"]
    columns: tuple[str, ...]
    """Scored labels in order."""
    outputs: tuple[str, ...]
    """All columns that the model puts out."""
    score_kind: Literal["logit", "probability", "margin"]
    selection: Selection
    threshold: Threshold
    thresholds: tuple[float, ...]
    """Decision value of each scored label on the stored scores; empty for classes."""
    aggregation: str
    clusters: tuple[ClusterCounts, ...]
    clips_summed: bool = False
    """Whether one cluster holds the sum of all clips, as in committed records of protocols whose units are clips."""
    train_positives: tuple[NonNegative, ...]
    """Coded positive training rows of each scored label."""
    train_coded: tuple[NonNegative, ...]
    n_train: NonNegative
    n_frames: NonNegative
    """Scored test rows."""
    n_scored: NonNegative | None = None
    """Those of them with at least one coded label; None in records from before it was counted."""
    n_subjects: NonNegative
    n_dropped: dict[str, int]
    """Reason -> rows that were left out of training or test, e.g. `undecodable`."""
    n_dropped_frames: NonNegative = 0
    """Undecodable frames that were left out of clips which have others, in training and test."""
    n_no_face: NonNegative = 0
    """Rows whose landmarks are the mean-shape fallback, 0 where no face is looked for; they are scored."""
    smoke: bool = False
    """True when `--limit` or `--max-steps` cut the work short."""
    extra_data: str = ""
    uses_apex: bool = False
    """Whether the model knows the annotated apex of the test clips, as its plugin declares."""
    pretrained_on: str = ""
    weights_sha256: str = ""
    chosen_epoch: int | None = None
    epochs: int | None = None
    metrics: dict[str, dict[str, float | None]]
    """Metric name -> label -> value; None where undefined."""
    backend: dict[str, str] = {}
    """Op name -> backend that computed it."""
    parameters: int | None = None
    """Trainable parameters of the model."""
    device: str = "cpu"
    wall_s: float = 0.0
    cpu_s: float = 0.0
    files: dict[str, str]
    """Sibling file -> sha256."""


class UnitRef(_Record):
    """One planned unit of a run."""

    unit_id: str
    fold: str
    seed: int


class RunRecord(_Record):
    """`run.json`: what was asked, and the units that answer it."""

    schema_version: Literal[1] = 1
    run_id: str
    attempt: int = 1
    """Counts up with `--fresh`; the newest complete attempt is the row on the board."""
    request_hash: str
    """Digest of arguments, configuration, plugin files and manifest stat: answers a finished run without torch."""
    model: str
    protocol: str
    protocol_version: int
    preset: str
    data_origin: DataOrigin
    units: tuple[UnitRef, ...]
    folds_total: int
    """Folds of the protocol; a run with fewer is not ranked."""
    smoke: bool = False
    pooled: dict[str, dict[str, dict[str, float | None]]] = {}
    """Seed -> metric of scores -> label (and `mean`) -> value over the predictions of all folds; None where undefined.
    Empty where the headline is not pooled."""
    hits: dict[str, tuple[tuple[NonNegative, ...], ...]] = {}
    """Fold -> class -> clips that 0, 1, ... of the seeds named right; beside `clips_summed`, with several seeds."""
    headline: str = ""
    """One line for the terminal once the run is finished."""
