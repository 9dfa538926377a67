"""Numbers that papers print: a json file beside the protocol plugin, closed to unknown fields and versioned."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from auharness import registry
from auharness.api import ProtocolPlugin
from auharness.errors import IntegrityError, near

__all__ = [
    "MEAN",
    "Claim",
    "ExceedsClaim",
    "PlaceClaim",
    "ReportedFile",
    "ReportedRow",
    "ReportedTable",
    "RiseClaim",
    "StepClaim",
    "read_reported",
]

MEAN = "mean"
"""Name of the column with the mean over labels."""

Percent = Annotated[float, Field(ge=0, le=100)]


class _Reported(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Claim(_Reported):
    text: str
    """What the paper says, in our words."""
    section: str
    method: str
    column: str = MEAN


class PlaceClaim(_Claim):
    """The method has this place in a column."""

    rule: Literal["place"]
    place: int = Field(ge=1)
    behind: tuple[str, ...] = ()
    """The methods in front of it, best first."""


class ExceedsClaim(_Claim):
    """The method scores more than every other, but for those named."""

    rule: Literal["exceeds"]
    all_but: tuple[str, ...] = ()


class StepClaim(_Claim):
    """The method scores more than another by a printed number of points."""

    rule: Literal["step"]
    over: str
    points: float


class RiseClaim(_Claim):
    """The method scores more than another."""

    rule: Literal["rise"]
    over: str


Claim = Annotated[PlaceClaim | ExceedsClaim | StepClaim | RiseClaim, Field(discriminator="rule")]


class ReportedRow(_Reported):
    """One printed row, in percent as printed."""

    method: str
    reference: str = ""
    """Number in the paper's list of references, e.g. `[16]`."""
    venue: str = ""
    model: str = ""
    """The model plugin of this method."""
    variant: str = ""
    """The preset that an ablation row stands for."""
    setting: dict[str, str] = {}
    """Settings of the model, beside the paper's, that the row stands for, e.g. the language model."""
    cells: dict[str, Percent] = {}
    """Column -> score; a column that is not printed is absent. `mean` is the printed mean over labels."""
    bold: tuple[str, ...] = ()
    """Columns printed bold: marked as best."""
    underlined: tuple[str, ...] = ()
    """Columns printed underlined: marked as second best."""
    metrics: dict[str, Percent] = {}
    """Other metrics of the protocol, e.g. `war` beside the UAR in `mean`."""
    n_folds: int | None = Field(None, ge=1)
    """Number of folds that the row is made of; None where the protocol leaves no choice."""
    folds: tuple[str, ...] = ()
    """Their names, where they are not all."""
    cost: float | None = Field(None, gt=0)
    """As printed, in the table's unit."""
    selection: str = ""
    """How the epoch of the row was chosen, where that is known of single rows."""
    note: str = ""
    remarks: tuple[str, ...] = ()
    """Sentences that stand below the table."""

    @model_validator(mode="after")
    def _folds_are_counted(self) -> "ReportedRow":
        if self.folds and len(self.folds) != self.n_folds:
            raise ValueError(f"{self.method}: n_folds is {self.n_folds}, and {len(self.folds)} folds are named")
        return self

    @model_validator(mode="after")
    def _marked_cells_exist(self) -> "ReportedRow":
        for column in (*self.bold, *self.underlined):
            if column not in self.cells:
                raise ValueError(f"{self.method}: column {column!r} is marked and has no cell")
        return self


class ReportedTable(_Reported):
    """One printed table, or the columns of it that belong to one protocol."""

    table: str
    """As printed, e.g. `Table I`."""
    kind: Literal["results", "ablation"] = "results"
    citation: str
    link: str = Field("", pattern=r"^(https://[^\s<>]+)?$")
    """Empty where no public page is known."""
    metric: str = "f1"
    decimals: int = Field(1, ge=0, le=4)
    marked: bool = True
    """Whether the table marks the best and second best of each column."""
    seconds: bool = True
    """Whether it marks the second best too."""
    clips: dict[str, Annotated[int, Field(ge=1)]] = {}
    """Data set -> number of clips that the text states."""
    cost: str = ""
    """Name and unit of the column of costs, e.g. `FLOPs (G)`."""
    setting: dict[str, str] = {}
    """Settings of the model that all rows of an ablation share, e.g. the language model."""
    against: str = ""
    """Method of an ablation from which each step is measured; empty: each from the row above."""
    selection: str = "unknown"
    threshold: str = "unknown"
    aggregation: str = "unknown"
    note: str = ""
    rows: tuple[ReportedRow, ...]
    claims: tuple[Claim, ...] = ()

    @model_validator(mode="after")
    def _claims_name_rows(self) -> "ReportedTable":
        methods = [row.method for row in self.rows]
        if len(set(methods)) != len(methods):
            raise ValueError(f"{self.table}: a method is listed twice")
        if self.against and self.against not in methods:
            raise ValueError(f"{self.table}: against names {self.against!r}, which has no row")
        for claim in self.claims:
            for name in _named(claim):
                if name not in methods:
                    raise ValueError(f"{self.table}: a claim names {name!r}, which has no row{near(name, methods)}")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Printed columns in order, the mean last."""
        names = dict.fromkeys(column for row in self.rows for column in row.cells if column != MEAN)
        return (*names, MEAN)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Other metrics that the table prints, in order."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.metrics))

    @property
    def own_model(self) -> str:
        """The model plugin of the paper's own method, which a table prints last; empty if there is none."""
        return next((row.model for row in reversed(self.rows) if row.model), "")

    def row(self, method: str) -> ReportedRow:
        """Return the row of a method that the table holds."""
        return next(row for row in self.rows if row.method == method)


class ReportedFile(_Reported):
    """`<protocol>.reported.json`."""

    schema_version: Literal[1]
    protocol: str
    tables: tuple[ReportedTable, ...]


def read_reported(protocol: type[ProtocolPlugin]) -> tuple[ReportedTable, ...]:
    """Return the reported tables of a protocol; none if it names no file, or the file is not there.

    Raises:
        IntegrityError: if the file does not fit the schema, or names labels that the protocol does not score.
    """
    if not protocol.reported:
        return ()
    path = registry.source_file("protocol", protocol.name).with_name(protocol.reported)
    if not path.is_file():
        return ()
    try:
        content = ReportedFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise IntegrityError(f"{path.name}: {place}: {first['msg']}") from None
    if content.protocol != protocol.name:
        raise IntegrityError(f"{path.name}: is for protocol {content.protocol!r}, expected {protocol.name!r}")
    known = (*protocol().columns, MEAN)
    for table in content.tables:
        for names, scored in ((table.columns, known), (table.metrics, protocol.metrics)):
            for name in names:
                if name not in scored:
                    raise IntegrityError(
                        f"{path.name}: {table.table}: column {name!r} is not scored{near(name, scored)}"
                    )
    return content.tables


def _named(claim: Claim) -> Iterator[str]:
    yield claim.method
    if isinstance(claim, PlaceClaim):
        yield from claim.behind
    elif isinstance(claim, ExceedsClaim):
        yield from claim.all_but
    else:
        yield claim.over
