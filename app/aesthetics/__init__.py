"""A small, honest baseline that learns from a release how people like pictures; it needs nothing of the server."""
