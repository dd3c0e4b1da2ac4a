"""The relay: follows the log and does what is due after a commit. One of them leads, others stand by.

It wakes actors (`reactions`), keeps tailing projections (`tailing`), ends leases and jobs whose time is over
(`sweeper`), deletes the words and pictures of jobs that ended long enough ago (`retention`). It loses nothing: where it stands is in the database, beside the log. Look next: `app.relay.main`,
`app.relay.leader`.
"""
