"""The server as clients, worker owners and researchers meet it, through the public API alone.

A package, so that the servers of its fixtures end with its last test. Look next: `conftest`.
"""
