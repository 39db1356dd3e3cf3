class Agent:
    pass


result = [Agent().__dict__, __file__]
