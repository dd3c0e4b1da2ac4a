"""Questions to the log: why a job waited, what a price is made of, where a balance comes from, what a rater's mark rests on.

Pure: whoever has a copy of the log gets the same answers as the operator. Look next: `app.research.answers`.
"""
