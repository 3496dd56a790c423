"""Append-only raw frames, columnar history, tiles."""
