"""Ratings: pictures handed out to be judged, what was said of them, what it earns, and reports of bad pictures.

Look next: `app.ratings.decider` (handing out, rating, comparing), `job_decider` (requesters rate their own), `case_decider`
(reports), `handout` (which pictures), `graphql` (the API); docs/rating.md.
"""
