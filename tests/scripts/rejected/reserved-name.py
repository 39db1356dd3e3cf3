_total_ = 0
for n in inputs["numbers"]:
    _total_ += n
result = _total_
