class Pipeline:
    """Chain of stages, each a function from a handle to a handle."""

    def __init__(self, name):
        self.name = name
        self._stages = []

    def stage(self, fn):
        self._stages.append(fn)
        return self

    def run(self, item):
        for fn in self._stages:
            item = fn(item)
        return item

    def __len__(self):
        return len(self._stages)

    def __repr__(self):
        return f"Pipeline({self.name!r}, {len(self)} stages)"


def extract_fields(text):
    return spawn("extract", {"text": text, "fields": ["invoice", "total"]})


def to_sentence(extracted):
    values = extracted["values"]
    return spawn("write", {"instructions": f"Invoice {values['invoice']} over {values['total']}"})


pipe = Pipeline("invoices").stage(extract_fields).stage(to_sentence)
texts = gather([pipe.run(doc) for doc in inputs["documents"]])
result = {"pipeline": repr(pipe), "texts": [t["text"] for t in texts]}
