"""The only place that knows SQL for the log: tables as columns of structs, appending, reading.

May not know any particular fact. Look next: `events.store.columns`, `events.store.log`.
"""
