"""A whole cluster in one thread under one seed: real writers, relays and actors over a fake database, broker and clock.

Everything that the programs do is real; what is outside of them is simulated: `scheduler` (tasks and time), `database`
(sessions, locks, transactions) and `statements` (what each SQL statement means), `outside` (broker, storage),
`stand_ins` (threads, clocks and connections of the programs), `cluster` and `people` (who does what, and what goes
wrong), `checks`. Look next: `run.py`, and `docs/testing.md` for how to replay a seed.
"""
