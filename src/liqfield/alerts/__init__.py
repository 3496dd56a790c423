"""Rules and delivery."""
