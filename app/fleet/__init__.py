"""The workers as every slice sees them: who is online, and what each may serve.

`serving` (pure): what a worker allows, the families of its models, at which of a job's offers it serves. `online`: who
polled lately and how fast they draw. May not decide anything. Look next: `projections.queue`, `app.workers`.
"""
