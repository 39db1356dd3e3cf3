"""Run an archived script against its journal: no agent, no issuer, and the first point that differs."""
