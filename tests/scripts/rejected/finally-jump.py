def ask():
    try:
        return spawn("mail", {"to": "a@example.org"}).result()
    finally:
        return None


result = ask()
