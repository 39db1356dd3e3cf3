match inputs["what"]:
    case Exception(obj=thing):
        result = thing
    case _:
        result = None
