handles = [spawn("mail", {"to": to} for to in inputs["to"]]
result = gather(handles)
