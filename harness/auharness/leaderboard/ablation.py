"""Ablations: what the paper prints for each variant, what was measured for it, and controls that the paper lacks."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

from auharness import registry
from auharness.api import ModelPlugin, ProtocolPlugin
from auharness.errors import InconclusiveError
from auharness.leaderboard.entries import Entry
from auharness.leaderboard.memory import Memory
from auharness.leaderboard.reported import ReportedTable
from auharness.leaderboard.rows import BoardRow, BoardTable, make_tables, paired_counts, setting_text
from auharness.leaderboard.usual import own_settings, usual_settings
from auharness.metrics import metric
from auharness.scoring import fold_counts
from auharness.settings import resolve
from auharness.statistics import holm, resamples_clips

__all__ = ["Ablation", "measured_ablations", "model_ablations", "steps"]


@dataclass(frozen=True)
class Ablation:
    """One printed ablation with what was measured, on one data set version and from one size of the model."""

    model: str
    table: ReportedTable | None
    variants: tuple[str, ...]
    origin: str = ""
    """`licensed`, `synthetic`, or empty where nothing was measured."""
    base: str = ""
    """Presets and settings beside the variant, e.g. `tiny`, and the size of a stand-in."""
    rows: dict[str, BoardRow] = field(default_factory=dict)
    """Variant or control -> newest measured row."""
    p_values: dict[str, float] = field(default_factory=dict)
    """Variant or control -> p-value of its step, adjusted by Holm over the steps."""
    reference: str = ""
    """Variant from which each step is measured; empty: from the one above."""
    unit: str = "subjects"
    """What intervals and tests draw: `subjects`, `videos` or `clips`."""
    start: tuple[str, str] | None = None
    """Starting weights of the measured rows and of the paper's, where they are not the same."""

    @property
    def controls(self) -> tuple[str, ...]:
        """Measured rows that the paper lacks."""
        return tuple(name for name in self.rows if name not in self.variants)


def measured_ablations(
    protocol: ProtocolPlugin, entries: Iterable[Entry], reported: Sequence[ReportedTable], *, memory: Memory
) -> list[Ablation]:
    """Return every reported ablation with the measured rows of its variants."""
    listed, found = list(entries), []
    tables = [table for table in reported if table.kind == "ablation"]
    for model in dict.fromkeys(next(row.model for row in table.rows) for table in tables):
        printed = [table for table in tables if table.rows[0].model == model]
        found += model_ablations(protocol, model, listed, printed, memory=memory)
    return found


def model_ablations(
    protocol: ProtocolPlugin, model: str, entries: Sequence[Entry], tables: Sequence[ReportedTable], *, memory: Memory
) -> list[Ablation]:
    """Return every printed ablation of a model with what was measured at its settings, then what fits none.

    A row with other starting weights than the paper's fits none: a small network without any says nothing of them.

    Args:
        protocol: names metric and aggregation.
        model: whose variants.
        entries: newest entries, of any model.
        tables: printed ablations of the model.
        memory: of intervals and p-values.
    """
    printed = tuple(dict.fromkeys(row.variant for table in tables for row in table.rows))
    known = _Model(model, printed, protocol.train_on[0])
    # a plugin may import a deep learning library, so not for the sake of printed numbers
    if model in registry.names("model") and (not tables or any(entry.run.model == model for entry in entries)):
        known.load()
    own = [entry for entry in entries if entry.run.model in (model, *known.others)]
    found: list[Ablation] = []
    for table in tables:
        empty = Ablation(model, table, known.variants, reference=_reference(table), unit=_unit(protocol))
        found += _measured(protocol, own, empty, known, memory) or [empty]
    rest = [entry for entry in own if known.is_control(entry) or not any(known.fits(entry, table) for table in tables)]
    reference = _reference(tables[0]) if tables else known.full
    empty = Ablation(model, None, known.variants, reference=reference, unit=_unit(protocol))
    return found + (_measured(protocol, rest, empty, known, memory) or ([] if tables else [empty]))


def steps(names: Sequence[str], ablation: Ablation) -> list[tuple[str, str]]:
    """Return, for each of these rows, the row its step starts from and the row itself.

    Variants start from the reference, or from the one above; a control from the reference, or from the last variant.
    """
    variants = [name for name in names if name in ablation.variants]
    start = ablation.reference
    if start:
        return [(start, name) for name in names if name != start and start in names]
    from_last = [(variants[-1], name) for name in names if name not in ablation.variants] if variants else []
    return [*pairwise(variants), *from_last]


@dataclass(frozen=True)
class _Place:
    """Where a run stands in an ablation."""

    row: str
    presets: tuple[str, ...]
    """Beside the row and what is crossed."""
    crossed: str
    settings: tuple[tuple[str, str], ...]
    """Dotted settings that are not those of the presets, and their values as text."""

    def without(self, keys: Iterable[str]) -> "_Place":
        """The place in a table that stands for some settings."""
        left = tuple(item for item in self.settings if item[0] not in keys)
        return replace(self, crossed="", settings=left)

    @property
    def base(self) -> tuple[tuple[str, ...], str, tuple[tuple[str, str], ...]]:
        """What the rows of one ablation share."""
        return self.presets, self.crossed, self.settings


class _Model:
    """What a model says of its ablation; only the printed variants until its plugin is loaded."""

    def __init__(self, name: str, variants: tuple[str, ...], dataset: str) -> None:
        self.name, self.variants, self.dataset = name, variants, dataset
        self.plugin: type[ModelPlugin] | None = None
        self._places: dict[str, _Place | None] = {}
        self._usual: dict[tuple[str, str], dict[str, Any]] = {}
        self._starts: dict[str, str] = {}

    def load(self) -> None:
        self.plugin = registry.load("model", self.name)
        self.variants = tuple(self.plugin.variants)

    @property
    def controls(self) -> tuple[str, ...]:
        return self.plugin.controls if self.plugin else ()

    @property
    def others(self) -> tuple[str, ...]:
        """Other models that are controls."""
        presets = set(self.plugin.presets if self.plugin else ())
        return tuple(name for name in self.controls if not set(name.split(",")) <= presets)

    @cached_property
    def full(self) -> str:
        """The variant that sets nothing: the paper's model; empty if there is none."""
        presets = self.plugin.presets if self.plugin else {}
        return next((name for name in self.variants if name in presets and not presets[name]), "")

    def place(self, entry: Entry) -> _Place | None:
        """Where a run stands; None if it has two rows' presets, or none."""
        key = f"{entry.run.model}/{entry.folder}"
        if key not in self._places:
            self._places[key] = self._place(entry)
        return self._places[key]

    def _place(self, entry: Entry) -> _Place | None:
        presets = entry.run.preset.split(",")
        if entry.run.model != self.name:
            return _Place(entry.run.model, tuple(presets), "", self._own_settings(entry))
        parts = {part for name in (*self.variants, *self.controls) for part in name.split(",")}
        named = [name for name in presets if name in parts]
        both = [name for name in (*self.variants, *self.controls) if sorted(name.split(",")) == sorted(named)]
        rows = both if named else [self.full] if self.full else []
        crossed = [name for name in presets if self.plugin and name in self.plugin.crossed]
        if len(rows) != 1 or len(crossed) > 1:
            return None
        base = tuple(name for name in presets if name not in (*named, *crossed))
        return _Place(rows[0], base, "".join(crossed), self._own_settings(entry))

    def is_control(self, entry: Entry) -> bool:
        """Whether a run stands beside variants only."""
        place = self.place(entry)
        return place is not None and place.row in self.controls

    def everywhere(self, row: str) -> bool:
        """Whether a control is the same for all that is crossed."""
        return row in self.others or (self.plugin is not None and row in self.plugin.uncrossed)

    def fits(self, entry: Entry, table: ReportedTable) -> bool:
        """Whether a run has the settings that a printed table stands for, and its starting weights."""
        place, settings = self.place(entry), entry.first.settings
        if place is None or place.row in self.others:
            return place is not None
        free: set[str] = set()
        if self.plugin and place.row in self.controls:
            free = {key for name in place.row.split(",") for key in self.plugin.presets.get(name, ())}
        if self.plugin is not None and self.everywhere(place.row):
            free |= {key for name in self.plugin.crossed for key in self.plugin.presets[name]}
        wanted = {key: value for key, value in table.setting.items() if key not in free}
        return all(str(settings.get(key)) == value for key, value in wanted.items()) and self.start(entry) is None

    def start(self, entry: Entry) -> tuple[str, str] | None:
        """Starting weights of a run and those that the paper's row has, where they differ."""
        place = self.place(entry)
        if self.plugin is None or place is None or place.row in self.others:
            return None
        if place.row not in self._starts:
            presets = place.row.split(",")
            self._starts[place.row] = resolve(self.plugin, dataset=self.dataset, presets=presets).plugin.init
        wanted = self._starts[place.row]
        found = str(entry.first.settings.get("init", wanted))
        return None if found == wanted else (found, wanted)

    def beside(self, place: _Place, group: _Place) -> bool:
        """Whether a control that is the same everywhere belongs to the rows of a group."""
        presets, settings = group.presets, group.settings
        if place.row in self.others:
            plugin = registry.load("model", place.row)
            presets = tuple(name for name in presets if name in (*plugin.presets, "paper", "tiny"))
            settings = tuple(item for item in settings if item[0].partition(".")[0] in plugin.model_fields)
        return (place.presets, place.settings) == (presets, settings)

    def _own_settings(self, entry: Entry) -> tuple[tuple[str, str], ...]:
        """Settings of a run that its presets do not explain, as far as the plugin of today has them."""
        if self.plugin is None:
            return ()
        key = (entry.run.model, entry.run.preset)
        if key not in self._usual:
            self._usual[key] = usual_settings(entry.run.model, entry.run.preset.split(","), self.dataset)
        return own_settings(entry.first.settings, self._usual[key])


def _measured(
    protocol: ProtocolPlugin, entries: Sequence[Entry], empty: Ablation, model: _Model, memory: Memory
) -> list[Ablation]:
    """One ablation for each data set version and each base of the rows that was measured."""
    table = empty.table
    own = [entry for entry in entries if table is None or model.fits(entry, table)]
    made = []
    for board in make_tables(protocol, own, memory=memory):
        for group, rows in _groups(board, model, () if table is None else tuple(table.setting)):
            found = replace(empty, origin=board.origin, base=_base_text(group, board.size), rows=rows)
            starts = (model.start(row.entry) for name, row in rows.items() if name in model.variants)
            start = next((value for value in starts if value is not None), None)
            made.append(replace(found, start=start, p_values=_p_values(protocol, found, memory)))
    return made


def _unit(protocol: ProtocolPlugin) -> str:
    if resamples_clips(metric(protocol.headline), protocol.cluster):
        return "clips"
    return {"video": "videos"}.get(protocol.cluster, "subjects")


def _base_text(place: _Place, size: str) -> str:
    """`paper,qwen2, recipe.epochs=6`, and the size of a stand-in."""
    presets = ",".join(filter(None, (*place.presets, place.crossed)))
    shown = ", ".join((presets, *(setting_text(*item) for item in place.settings)))
    return f"{shown}; {size}" if size else shown


def _groups(board: BoardTable, model: _Model, printed: tuple[str, ...]) -> Iterator[tuple[_Place, dict[str, BoardRow]]]:
    """Yield the rows that differ in their variant only, in the order of variants and controls.

    Args:
        board: rows on the same data.
        model: whose ablation.
        printed: settings that a printed table stands for.
    """
    placed = [(model.place(row.entry), row) for row in board.rows]
    places = [(place.without(printed) if printed else place, row) for place, row in placed if place is not None]
    shared = [(place, row) for place, row in places if model.everywhere(place.row)]
    groups: dict[Any, list[tuple[_Place, BoardRow]]] = {}
    for place, row in places:
        if not model.everywhere(place.row):
            groups.setdefault(place.base, []).append((place, row))
    crossed = ("", *(model.plugin.crossed if model.plugin else ()))
    # not in the order of their scores
    for base in sorted(groups, key=lambda key: (key[0], crossed.index(key[1]), key[2])):
        members = groups[base]
        if any(place.row in model.variants for place, _ in members):
            first = members[0][0]
            members += [(place, row) for place, row in shared if model.beside(place, first)]
            yield first, _newest(members, (*model.variants, *model.controls))


def _newest(members: Sequence[tuple[_Place, BoardRow]], order: Sequence[str]) -> dict[str, BoardRow]:
    newest: dict[str, BoardRow] = {}
    for place, row in members:
        if place.row not in newest or row.entry.written > newest[place.row].entry.written:
            newest[place.row] = row
    return {name: newest[name] for name in order if name in newest}


def _reference(table: ReportedTable) -> str:
    """The variant from which the steps of a printed ablation are measured; empty: from the row above."""
    return next((row.variant for row in table.rows if row.method == table.against), "")


def _p_values(protocol: ProtocolPlugin, ablation: Ablation, memory: Memory) -> dict[str, float]:
    """Return the p-value of each step, adjusted by Holm; 1 where two rows do not test the same subjects.

    Steps between records of summed clips have none.
    """
    how: Any = protocol.aggregation  # `aggregate` refuses an unknown one
    raw = {}
    for first, second in steps(tuple(ablation.rows), ablation):
        above, row = ablation.rows[first].entry, ablation.rows[second].entry
        if above.clips_summed or row.clips_summed:
            continue
        pair = paired_counts(fold_counts(row.units), len(row.seeds), fold_counts(above.units), len(above.seeds))
        try:
            raw[second] = memory.p_value(*pair, metric=metric(protocol.headline), how=how, cluster=protocol.cluster)
        except InconclusiveError:
            raw[second] = 1.0
    adjusted = holm(raw)
    return {name: adjusted[name] for name in raw}
