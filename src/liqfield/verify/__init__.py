"""Scores of estimates against what happened; imports no estimator."""
