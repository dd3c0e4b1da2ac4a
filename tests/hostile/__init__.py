"""Whoever means the server harm.

A package, so that the servers of its fixtures end with its last test. Look next: `conftest`.
"""
