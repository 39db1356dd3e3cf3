"""Options with values that are refused."""
handles = [
    spawn("mail", {"n": 1}, scopes="mail:send"),
    spawn("mail", {"n": 2}, timeout="30"),
    spawn("mail", {"n": 3}, timeout=-1),
    spawn("research", {"vendor": "Acme"}, retry=True),
    spawn("mail", {"n": 5}, label=5),
    spawn("mail", {"n": 6}, fallback=5),
    spawn("research", {"vendor": "Acme"}, retry=Retry(attempts="3", backoff="2", on="timed_out")),
]
some = gather(handles, min_ok=True)
most = gather(handles, enough=1.5)
some = gather(handles, on_error="ignore")
some = gather(handles, return_exceptions="yes", timeout=None)
fine = spawn("research", {"vendor": "Acme"}, retry=None, timeout=None, fallback=None, label=None, scopes=None, accept=None)
sleep("1")
result = [some, fine.result()]
