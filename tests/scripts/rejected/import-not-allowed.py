import os
import random
from concurrent.futures import ThreadPoolExecutor

result = os.environ
