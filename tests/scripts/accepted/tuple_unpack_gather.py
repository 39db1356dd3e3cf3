"""gather with several arguments, unpacked at once."""
yes, no, unsure = gather(
    spawn("write", {"instructions": f"Say yes to: {inputs['question']}"}),
    spawn("write", {"instructions": f"Say no to: {inputs['question']}"}),
    spawn("write", {"instructions": f"Be unsure about: {inputs['question']}"}, timeout=90),
)
verdict = spawn("judge", {"question": inputs["question"], "answers": [x["text"] for x in (yes, no, unsure)]}).result()
result = ("yes", "no", "unsure")[verdict["winner"]]
