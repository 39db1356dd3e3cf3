try:
    result = spawn("mail", {"to": "a@example.org"}).result()
except* SpawnError as errors:
    result = str(errors)
