"""What stands on the page of a protocol, before it becomes text."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from auharness import registry
from auharness.api import ProtocolPlugin
from auharness.leaderboard.ablation import Ablation, measured_ablations
from auharness.leaderboard.audit import Finding, audit_table
from auharness.leaderboard.cost import Costs, Line, cost_lines, read_costs
from auharness.leaderboard.entries import Entry, newest, read_entries
from auharness.leaderboard.levels import Levels
from auharness.leaderboard.memory import Memory
from auharness.leaderboard.published import published_clips, published_floors, published_levels, published_tests
from auharness.leaderboard.reported import ReportedTable, read_reported
from auharness.leaderboard.rows import BoardRow, BoardTable, make_tables
from auharness.leaderboard.usual import own_settings, usual_settings
from auharness.results.looks import Looks, PartKey, read_looks

__all__ = ["Page", "make_page"]


@dataclass(frozen=True)
class Page:
    """All that stands on a protocol's page."""

    protocol: ProtocolPlugin
    tables: tuple[BoardTable, ...]
    reported: tuple[ReportedTable, ...]
    floors: dict[str, float]
    """On the published data, in [0, 1]; empty where nothing is published."""
    ablations: tuple[Ablation, ...] = ()
    broken: tuple[str, ...] = field(default=())
    """Run folders that could not be read."""
    looks: dict[PartKey, Looks] = field(default_factory=dict)
    """Test part -> how often it was looked at."""
    costs: Costs = field(default_factory=Costs)
    """What is known of the cost of models."""

    def levels(self, table: ReportedTable) -> Levels:
        """Return what predictors that see nothing score in the metric of a reported table; empty if not known."""
        return published_levels(type(self.protocol)) if table.metric == self.protocol.headline else {}

    def audit(self, table: ReportedTable) -> list[Finding]:
        """Return every check of a reported table."""
        clips = self._other_clips(table)
        stated = published_levels(type(self.protocol), {clips[0]: clips[1]}) if clips is not None else None
        tests = published_tests(type(self.protocol))
        return audit_table(table, self.levels(table), stated=stated, clips=clips, tests=tests)

    def measured(self, table: ReportedTable) -> dict[str, BoardRow]:
        """Return, by printed method, the newest ranked row on licensed data of its model at the paper's settings.

        Data whose counts differ from the published ones do not stand beside a printed number.
        """
        found: dict[str, BoardRow] = {}
        licensed = [row for board in self.tables if board.origin == "licensed" for row in board.rows]
        licensed = [row for row in licensed if row.entry.first.data.verified is not False]
        for printed in table.rows:
            own = [row for row in licensed if printed.model and row.entry.run.model == printed.model]
            if not own or printed.model not in registry.names("model"):
                continue
            usual = usual_settings(printed.model, ["paper"], self.protocol.train_on[0], printed.setting)
            own = [row for row in own if row.entry.run.preset.split(",")[0] == "paper"]
            exact = [row for row in own if not own_settings(row.entry.first.settings, usual)]
            if exact:
                found[printed.method] = max(exact, key=lambda row: (row.entry.written, row.entry.folder))
        return found

    def cost_lines(self) -> list[Line]:
        """Return the measured and reported rows whose cost is known, as they stand on the page."""
        return cost_lines(self.protocol, self.tables, self.reported, self.costs)

    def _other_clips(self, table: ReportedTable) -> tuple[str, int, int] | None:
        """The tested data set of which the text states another number of clips than is published, and both numbers."""
        for dataset in self.protocol.test_on:
            stated, published = table.clips.get(dataset), published_clips(dataset)
            if stated is not None and published is not None and stated != published:
                return dataset, stated, published
        return None


def make_page(root: Path, protocol: str, *, memory: Memory, entries: Sequence[Entry] | None = None) -> Page:
    """Return the page of a protocol from the complete runs below a folder.

    Args:
        root: the folder.
        protocol: name of the plugin.
        memory: of intervals and p-values.
        entries: its runs, all readable, where they have been read already.

    Raises:
        UsageError: if no plugin has the name.
        IntegrityError: if the reported file of the protocol is damaged.
    """
    plugin = registry.load("protocol", protocol)
    found, broken = read_entries(root, protocol=protocol) if entries is None else (entries, [])
    rows = newest(found)
    reported = read_reported(plugin)
    return Page(
        protocol=plugin(),
        tables=tuple(make_tables(plugin(), rows, memory=memory)),
        reported=reported,
        floors=published_floors(plugin),
        ablations=tuple(measured_ablations(plugin(), rows, reported, memory=memory)),
        broken=tuple(broken),
        looks=read_looks(root, protocol),
        costs=read_costs(root),
    )
