"""The server: what may happen, and every wire to the world.

Slices (accounts, jobs, workers, …) decide and answer; `app.platform` holds what they share; the composition
roots (`main`, `relay`, `actors_main`, `cli`, `schema`) put them together. Imports run app -> projections -> events.
"""
