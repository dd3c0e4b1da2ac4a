"""Jobs: what clients ask for, what it will cost, where it stands.

Look next: `app.jobs.decider` (rules), `handlers` (ids and checks), `graphql` (the API), `image_params` (bounds).
"""
