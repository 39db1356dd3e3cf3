from json import load
from collections import UserDict, Conter

result = 1
