"""A simulated crowd of raters, honest and not, and what the assessment makes of it. See docs/raters.md."""
