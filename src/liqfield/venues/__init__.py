"""One file a venue: bytes to events, and what to subscribe to and poll. No socket, no clock."""
