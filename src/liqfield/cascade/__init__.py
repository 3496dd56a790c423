"""Where forced flow stops, and how far a running cascade has come."""
