"""Teams of workers: founding, editing, deleting, and what their workers did together.

Look next: `app.teams.decider`; `projections.team_totals`.
"""
