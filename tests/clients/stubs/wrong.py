"""What the types of the stub forbid."""

import numpy as np
from bottega import Client
from color_size import predict

colors, wide = np.array([["red"]], np.object_), np.array([[1.5]], np.float64)
predict(Client(), colors, wide)
predict(Client(), colors).score
