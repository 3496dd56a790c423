"""The venues' own protocols on loopback, in front of the built-in market."""
