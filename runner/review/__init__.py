"""What a reviewer sees of a script before it runs, and what he decides.

    report       the whole report as values
    risk         named rules, and why they strike
    changed      what is other than in the version that was approved
    flags        flagged or not, and the highest risk: of a report, or of verdict and policy alone
    decisions    a signed decision, as a value and as a file
    keys         the reviewer's key of this home
    policies     signatures of policies
    trust        trust.yaml: whose decisions count, and what each door may use
    asked        what waits for a decision
    gate         whether a script may run

Not here: rehearsing and asking for decisions (engine), drawing a report (cli, and the formats beside it).
"""
