"""Signed flow: CVD, footprint, order-flow imbalance, absorption."""
