"""The models of the contract suite, as Python knows them."""

import numpy as np


class Echo:
    def predict(self, x):
        return x


class Table:
    rows = np.arange(20, dtype=np.float32).reshape(10, 2)

    def predict(self, x):
        return self.rows[x]


class Swaps:
    def predict(self, tensors):
        return {"second": tensors["a"], "first": tensors["b"]}


class Endless:
    def predict(self, x):
        while True:
            pass


class Expand:
    def predict(self, elements):
        return np.zeros(int(elements[0]), np.float32)
