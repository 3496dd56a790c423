"""The six-step workflow, sizing, journal entries."""
