"""An MCP server of this example's own: one tool, over stdin and stdout."""

from mcp.server import MCPServer

HEADLINES = {
    "acme": ["Acme wins a prize", "Acme grows again"],
    "brown": ["Brown is sued by its landlord", "Brown pays late"],
    "cole": ["Cole opens in Lyon"],
}
server = MCPServer("news")


@server.tool()
def news(vendor: str) -> dict[str, list[str]]:
    """Tell the headlines of a vendor."""
    return {"headlines": HEADLINES.get(vendor, [])}


if __name__ == "__main__":
    server.run("stdio")
