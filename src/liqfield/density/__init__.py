"""The liquidation-density estimator."""
