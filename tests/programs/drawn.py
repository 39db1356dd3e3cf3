"""Random programs and trees: the grammar with all of its productions."""

from __future__ import annotations

from tests.programs.grammar import PRELUDE, constructs, program
from tests.programs.grammar_expressions import templates
from tests.programs.grammar_statements import statement
from tests.programs.trees import damaged, grafted, tree_text

# What adds productions: naming them here keeps the modules that do imported.
PRODUCERS = (templates, statement)

__all__ = ["PRELUDE", "PRODUCERS", "constructs", "damaged", "grafted", "program", "tree_text"]
