"""Measurements of Hoard on one machine: seeded workloads, the real server and real stores, all over loopback.

`python -m benchmarks` runs every one and writes the table of `README.md`; `python -m benchmarks writer` runs one.
Nothing of the application imports this. Look next: `benchmarks.workload` (what is asked, apart from how it is sent),
`benchmarks.lab` (the stores and the API process), `benchmarks.writer` for the simplest measurement.
"""
