"""Running the house: migration, seeding, projections, the log's export and proof, status.

Look next: `app.operations.migrate`, `app.operations.commands`.
"""
