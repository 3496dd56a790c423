"""The words of the field: immutable, free of I/O, importing nothing of ours from outside."""
