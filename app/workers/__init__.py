"""Workers: registration, maintenance, and the work they take and deliver.

Look next: the `decider` (rules), `handlers` (ids and checks), `graphql` (the API).
"""
