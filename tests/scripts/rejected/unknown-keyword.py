"""Keywords of other libraries."""
handles = [spawn("mail", {"to": to}, tiemout=30, max_retries=2) for to in inputs["to"]]
result = gather(handles, max_workers=4)
