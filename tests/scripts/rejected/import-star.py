from math import *

result = sqrt(2)
