"""What a reviewer sees of a script before it runs, and what he decides.

    report       the whole report as values
    remarks      findings, risks and weaknesses in one form; which of them fail a review
    sections     what is told, in which order, as blocks (told); each format draws them and escapes (escaped)
    text, markdown, page, as_json, sarif   the formats
    drawn        a graph as boxes and arrows, bounded; scale: its time; graph_text: DOT, Mermaid, JSON
    risk         named rules, and why they strike
    changed      what is other than in the version that was approved

Not here: rehearsing (engine), printing (cli).
"""
