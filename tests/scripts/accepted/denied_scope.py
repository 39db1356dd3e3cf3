"""A scope that the policy does not grant is refused; the script carries on without it."""
handle = spawn("research", {"topic": "payroll"}, scopes=inputs["scopes"], label="greedy")
modest = spawn("research", {"topic": "payroll"}, scopes=inputs["scopes"][:1])
try:
    finding = handle.result()
    used = "greedy"
except SpawnDenied as denied:
    log("denied", message=denied.message, agent=denied.agent)
    finding = modest.result()
    used = "modest"
result = {"used": used, "topic": finding["topic"], "attempts": handle.error.attempts, "kind": handle.error.kind}
