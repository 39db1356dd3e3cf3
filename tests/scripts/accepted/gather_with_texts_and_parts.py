"""Parts of outputs at the leaves of what is gathered."""
finding = spawn("research", {"topic": inputs["topic"], "depth": 2})
page = spawn("fetch", {"url": finding["hits"][0]["url"]})
view = gather(
    {
        "summary": finding["summary"],
        "urls": [finding["hits"][0]["url"], finding["hits"][1]["url"]],
        "page": page["title"],
        "sure": finding["confidence"],
        "lost": (finding["hits"][0]["author"],),
    },
    on_error="none",
)
result = view
