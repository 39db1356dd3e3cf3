def numbers():
    yield 1


result = numbers().gi_frame.f_globals
