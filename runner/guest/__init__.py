"""The only code that enters a sandbox: the standard library, RestrictedPython and this package."""
