class Queue:
    def __init__(self):
        self.__items = []

    def __next(self):
        return self.__items.pop()


result = 1
