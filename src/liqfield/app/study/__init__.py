"""Studies: how good the readings are where the truth is known. Each prints JSON."""
