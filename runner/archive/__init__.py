"""The finished runs of a store: listed, compared, exported, imported, proven, pruned.

    manifest    which parts a run's file has           container   the zip that it is
    exporting   written, as a stream                   opening     structure and signature
    gathering   what it says beside the events         checking    everything else about it
    signing     the key of this home                   importing   proven, then stored
    heads       the register's, signed                 images      docker's, out and in
"""
