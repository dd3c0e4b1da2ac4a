"""What ratings say of pictures and of raters, computed from all of them at once. Pure, on numpy.

Knows no database and no user: only arrays. Used by the assessment of raters and by data sets. Look next:
`app.estimation.model` (the method and its source), `app.estimation.measures`, docs/raters.md.
"""
