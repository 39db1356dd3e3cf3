"""What the agents of this example can do: two look-ups about a vendor.

They wait as a network would, and return what such services return: a little that matters among much that does not.
"""

from __future__ import annotations

import asyncio

VENDORS = ["acme", "bolt", "crown", "delta", "ember", "fjord", "grove", "haven"]
COMPLAINTS = {"bolt": 41, "ember": 3, "grove": 17}
LISTED = {"grove"}


async def research(vendor: str) -> dict:
    """What is publicly known of a vendor: figures, and the pages that these stand on."""
    await asyncio.sleep(0.1)
    page = f"{vendor} sells parts, and has done so for years. " * 50
    return {"vendor": vendor, "complaints": COMPLAINTS.get(vendor, 0), "pages": [page, page]}


async def sanctions(vendor: str) -> dict:
    """Whether a vendor stands on a list."""
    await asyncio.sleep(0.03)
    return {"vendor": vendor, "listed": vendor in LISTED}
