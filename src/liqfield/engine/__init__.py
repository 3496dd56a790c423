"""The fold: step(event); owns all mutable state; event time only."""
