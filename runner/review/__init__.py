"""What a reviewer sees of a script before it runs, and what he decides.

    report       the whole report as values             source, reach, graph, shape    its parts
    screen       its first six lines                    risk        named rules, and why they strike
    changed      what is other than before              policy_changes    what a changed policy adds to that
    sections     what is told, in which order           text, markdown, page, as_json, sarif, graph_text    its forms
    flags        a report in short                      gate        whether a decision lets a script run
    decisions    signed decisions                       keys        reviewers' keys
    trust        whose decisions count on this host     policies    which policies a door may use

Not here: rehearsing (engine), writing a report to a terminal or a file (cli).
"""
