"""The server that most teams write by hand: FastAPI and ONNX Runtime, two workers. fastapi_app.py MODEL PORT FOLDER

POST /predict {"instances": [[…], …]} -> {"predictions": [[…], …]}, the model's probabilities.
"""

import os
import sys

import numpy as np
import onnxruntime as ort
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1  # the two workers fill two cores
if __name__ != "__main__":
    session = ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
app = FastAPI()


class Request(BaseModel):
    instances: list[list[float]]


class Answer(BaseModel):
    predictions: list[list[float]]


@app.post("/predict")
async def predict(body: Request) -> Answer:
    rows = np.array(body.instances, np.float32)
    (probabilities,) = session.run(["probabilities"], {session.get_inputs()[0].name: rows})
    return Answer(predictions=probabilities.tolist())


if __name__ == "__main__":
    os.environ["MODEL"] = sys.argv[1]
    folder = os.path.dirname(os.path.abspath(__file__))
    uvicorn.run("fastapi_app:app", app_dir=folder, host="127.0.0.1", port=int(sys.argv[2]), workers=2, access_log=False, log_level="warning")
