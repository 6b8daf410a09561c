"""MLServer with ONNX Runtime, of which it has none of its own, in one process, its quickest setting here.
mlserver_app.py MODEL PORT FOLDER

POST /v2/models/model/infer, Open Inference V2, the model's probabilities.
"""

import json
import os
import pathlib
import sys

import numpy as np
import onnxruntime as ort
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Model(MLModel):
    async def load(self) -> bool:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(self.settings.parameters.uri, options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        (given,) = payload.inputs
        rows = np.asarray(NumpyCodec.decode_input(given), np.float32)
        (probabilities,) = self.session.run(["probabilities"], {given.name: rows})
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("probabilities", probabilities)])


if __name__ == "__main__":
    from mlserver.cli import main

    model, port, folder = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
    about = {"name": "model", "implementation": "mlserver_app.Model", "parameters": {"uri": model}}
    (folder / "model-settings.json").write_text(json.dumps(about))
    ports = {"host": "127.0.0.1", "http_port": port, "grpc_port": port + 1, "metrics_port": port + 2}
    settings = {"debug": False, "parallel_workers": 0, "metrics_dir": str(folder), **ports}
    (folder / "settings.json").write_text(json.dumps(settings))
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    sys.argv = ["mlserver", "start", str(folder)]
    main()
