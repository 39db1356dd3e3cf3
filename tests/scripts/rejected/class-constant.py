FIELDS = ["name"]


class Agent:
    __slots__ = FIELDS


result = 1
