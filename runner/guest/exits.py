"""The exit codes by which a guest says what it could not say in a frame. The host maps them to reasons."""

from __future__ import annotations

EXIT_DONE = 0
"""It said its last word, or its host was gone."""
EXIT_MEMORY = 81
"""Out of memory, and not even enough left for the last frame."""
EXIT_UNLOCKED = 82
"""Something failed before the lock held; stderr says what. It read nothing of the script."""
EXIT_BROKEN = 83
"""A defect of the guest's own code after the lock."""
