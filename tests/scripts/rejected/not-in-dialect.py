def first[T](things: list[T]) -> T:
    return things[0]


result = first([1, 2])
