"""A whole output in a prompt is canonical JSON."""
finding = spawn("extract", {"text": f"name: {inputs['topic']}; price: 12", "fields": ["price", "name", "age"]})
told = spawn("write", {"instructions": f"Facts: {finding}"})
missing = spawn("write", {"instructions": f"Ask for {finding['missing']} and not for {finding['values']['name']}"})
result = [h.result()["text"] for h in (told, missing)]
