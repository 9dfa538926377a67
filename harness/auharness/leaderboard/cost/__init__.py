"""What models cost, beside what they score: the page of all models, a section of each protocol's page, pictures."""

from auharness.leaderboard.cost.costs import FOLDER, Costs, read_costs
from auharness.leaderboard.cost.figure import cost_digest, cost_picture, draw_cost, drawn
from auharness.leaderboard.cost.page import NAME, efficiency_files
from auharness.leaderboard.cost.section import Line, cost_lines, cost_of, cost_section

__all__ = [
    "FOLDER",
    "NAME",
    "Costs",
    "Line",
    "cost_digest",
    "cost_lines",
    "cost_of",
    "cost_picture",
    "cost_section",
    "draw_cost",
    "drawn",
    "efficiency_files",
    "read_costs",
]
