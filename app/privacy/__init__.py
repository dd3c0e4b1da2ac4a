"""What the house knows of one person: exported whole, or erased.

May not import other slices: whoever joins them brings the commands that end what a person has running. Look next:
`app.privacy.traces` (which rows are about somebody), `app.privacy.exporting`, `app.privacy.erasing`, docs/privacy.md.
"""
