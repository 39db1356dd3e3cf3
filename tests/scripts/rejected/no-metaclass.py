class Registry(type):
    pass


class Agent(metaclass=Registry):
    pass


result = 1
