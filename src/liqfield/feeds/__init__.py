"""Sockets, polling, backoff, rate limits, staleness."""
