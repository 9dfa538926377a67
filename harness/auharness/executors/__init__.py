"""Ways to spread units over processes; the result of a unit does not depend on the choice."""
