"""The embedded stack: PostgreSQL, Valkey and S3 from wheels, and the supervisor behind `hoard up`.

It only produces `HOARD_*` settings; nothing outside this package may know whether a server is embedded.
Reading order: `folder` (what a data folder holds), `process` (one child), `postgres` `valkey` `seaweed` (the services),
`supervisor` (many children), `stack` (the three services together), `up` (everything behind `hoard up`).
"""
