"""The built-in market and servers that speak each venue's protocol on loopback."""
