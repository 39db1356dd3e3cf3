"""The finished runs of a store: listed, compared, exported, imported, proven, pruned."""
