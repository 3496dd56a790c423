"""liqfield: where leveraged positions will be forced out, and whether anyone stands ready."""

__version__ = "0.1.0"
