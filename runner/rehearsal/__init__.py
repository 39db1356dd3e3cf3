"""Runs that call nobody: a held clock, and mock agents from fixtures.

    timed        moves the clock on while a guest waits and nothing else can happen
    mocks        what a mock agent is
    fixtures     answers from a YAML file
    rehearsed    what came of one rehearsal

Not here: what is run against them (engine).
"""
