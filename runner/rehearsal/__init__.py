"""Runs that call nobody: a held clock, and mock agents from fixtures.

    timed        moves the clock on while a guest waits and nothing else can happen
    fixtures     mock agents from a YAML file

Not here: what is run against them (engine).
"""
