"""What is left when processes and servers are killed, disks are full and clocks are wrong.

A package, so that the servers of its fixtures end with its last test. Look next: `conftest`.
"""
