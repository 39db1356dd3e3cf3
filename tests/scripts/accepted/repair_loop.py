"""Write code, check it, and let a fixer repair it until the checks pass."""
from dataclasses import dataclass, field, asdict


@dataclass
class Attempt:
    round: int
    errors: list = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not self.errors


history: list[Attempt] = []
code = spawn("write_code", {"task": inputs["task"]}).result()["code"]
for round_number in range(1, inputs["max_rounds"] + 1):
    report = spawn("check_code", {"code": code}).result()
    history.append(Attempt(round_number, report["errors"]))
    if history[-1].clean:
        break
    code = spawn("fix_code", {"code": code, "errors": report["errors"]}).result()["code"]
else:
    log("gave up", rounds=inputs["max_rounds"])

result = {"code": code, "rounds": len(history), "passed": history[-1].clean, "history": [asdict(a) for a in history]}
