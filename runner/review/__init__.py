"""What a reviewer sees of a script before it runs, and what he decides.

    report       the whole report as values
    risk         named rules, and why they strike
    changed      what is other than in the version that was approved

Not here: rehearsing (engine), drawing a report (cli, and the formats beside it).
"""
