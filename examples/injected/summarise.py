"""Summarise each document of a customer."""

customer = inputs["customer_id"]
read = {
    name: spawn("read_document", {"customer_id": customer, "document": name}, scopes=["crm:read"], label=name)
    for name in inputs["documents"]
}
result = gather(read, on_error="none")
