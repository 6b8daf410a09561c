"""A program by the stub of `color-size`: its types are checked, and it is run."""

import numpy as np
from bottega import Client
from color_size import ENDPOINT, Outputs, predict

client = Client()
answer: Outputs = predict(client, np.array([["red"], ["blue"]], np.object_), np.array([[1.5], [9.0]], np.float32))
assert ENDPOINT == "color-size"
assert answer.label.shape == (2,) and answer.label.dtype == np.object_, answer
assert answer.probabilities.dtype == np.float32 and np.allclose(answer.probabilities.sum(axis=1), 1), answer
print(answer.label.tolist())
