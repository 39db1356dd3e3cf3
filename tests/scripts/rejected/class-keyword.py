class Base:
    pass


class Agent(Base, name="research"):
    pass


result = 1
