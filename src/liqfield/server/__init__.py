"""Wire schema, hub, HTTP and WebSocket."""
