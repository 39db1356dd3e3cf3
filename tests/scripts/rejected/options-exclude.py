"""Waiting for all, and stopping early."""
handles = [spawn("research", {"vendor": vendor}) for vendor in inputs["vendors"]]
result = gather(handles, min_ok=3, enough=2)
