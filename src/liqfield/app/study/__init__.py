"""Studies: how good readings and estimates are where the truth is known. Each prints JSON."""
