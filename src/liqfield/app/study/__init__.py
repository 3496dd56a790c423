"""Proofs that anyone can run again: known truth in worlds, a real market in history files."""
