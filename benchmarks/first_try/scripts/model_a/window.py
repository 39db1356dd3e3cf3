from collections import deque

WIDTH = 3


class Window:
    """Keeps at most `width` summaries under way; handles stay in the order of the texts."""

    def __init__(self, texts, width):
        self.waiting = deque(texts)
        self.handles = []
        for _ in range(width):
            self.start_next()

    def start_next(self):
        if self.waiting:
            text = self.waiting.popleft()
            self.handles.append(spawn("summarise", {"text": text, "words": 2}))

    def run(self):
        for _ in as_completed(self.handles):
            self.start_next()  # one is done, so one more may begin
        return [out["summary"] for out in gather(self.handles)]


result = Window(inputs["texts"], WIDTH).run()
