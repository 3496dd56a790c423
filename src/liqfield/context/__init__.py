"""Funding, open-interest change, ratios, COT, sessions."""
