"""What models cost, beside what they score: the page of all models, a section of each protocol's page, pictures."""

from auharness.leaderboard.cost.home import home

__all__ = ["home"]
