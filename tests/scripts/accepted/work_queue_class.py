"""A bounded work queue: never more than `width` calls in flight."""
import heapq


class WorkQueue:
    def __init__(self, width):
        self.width = width
        self.heap = []
        self.active = {}
        self.done = []
        self.failed = []

    def put(self, priority, payload):
        heapq.heappush(self.heap, (priority, payload["id"], payload))

    def _fill(self):
        while self.heap and len(self.active) < self.width:
            _, _, payload = heapq.heappop(self.heap)
            handle = spawn("picky", {"n": payload["n"]}, label=f"job-{payload['id']}")
            self.active[handle] = payload

    def drain(self):
        self._fill()
        while self.active:
            for handle in as_completed(list(self.active)):
                payload = self.active.pop(handle)
                if handle.ok:
                    self.done.append((payload["id"], handle.result()["square"]))
                else:
                    self.failed.append((payload["id"], handle.error.kind))
                self._fill()
                break
        return self


queue = WorkQueue(inputs["width"])
for job in inputs["jobs"]:
    queue.put(-job["n"], job)
queue.drain()
result = {"done": sorted(queue.done), "failed": sorted(queue.failed), "order": [i for i, _ in queue.done]}
