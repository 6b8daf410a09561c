"""Triton with its Python backend, ONNX Runtime and dynamic batching: the server comes with `nvidia-pytriton`, which
carries no backend of C++. triton_app.py MODEL PORT FOLDER

POST /v2/models/model/infer, Open Inference V2, the model's probabilities.
"""

import os
import pathlib
import shutil
import sys

import onnxruntime as ort

try:
    import triton_python_backend_utils as triton
except ImportError:
    triton = None  # then this is the program that starts the server


class TritonPythonModel:
    """What the backend runs."""

    def initialize(self, arguments):
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        file = os.path.join(os.path.dirname(__file__), "model.onnx")
        self.session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name

    def execute(self, requests):
        import numpy as np

        inputs = [triton.get_input_tensor_by_name(request, self.name).as_numpy() for request in requests]
        (rows,) = self.session.run(["probabilities"], {self.name: np.concatenate(inputs)})
        answers, at = [], 0
        for each in inputs:
            mine, at = rows[at : at + len(each)], at + len(each)
            answers.append(triton.InferenceResponse([triton.Tensor("probabilities", mine)]))
        return answers


CONFIG = """
backend: "python"
max_batch_size: 64
input [ {{ name: "{name}" data_type: TYPE_FP32 dims: [ {width} ] }} ]
output [ {{ name: "probabilities" data_type: TYPE_FP32 dims: [ {classes} ] }} ]
instance_group [ {{ count: 2 kind: KIND_CPU }} ]
dynamic_batching {{ }}
"""


if __name__ == "__main__":
    import pytriton

    model, port, folder = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    classes = next(output.shape[1] for output in session.get_outputs() if output.name == "probabilities")
    version = folder / "models" / "model" / "1"
    version.mkdir(parents=True, exist_ok=True)
    shutil.copy(model, version / "model.onnx")
    # The backend's interpreter looks for packages in its own places only.
    text = pathlib.Path(__file__).read_text()
    (version / "model.py").write_text(f"import sys\n\nsys.path[:0] = {sys.path[1:]!r}\n{text}")
    (version.parent / "config.pbtxt").write_text(CONFIG.format(name=given.name, width=given.shape[1], classes=classes))
    server = pathlib.Path(pytriton.__file__).parent / "tritonserver"
    # The backend looks for the interpreter beside itself, where the package has it for several of them.
    backend = folder / "backends" / "python"
    shutil.copytree(server / "backends" / "python", backend, dirs_exist_ok=True)
    stub = "triton_python_backend_stub"
    shutil.copy(server / "python_backend_stubs" / f"{sys.version_info.major}.{sys.version_info.minor}" / stub, backend / stub)
    (backend / stub).chmod(0o755)
    libraries = [str(server.parents[1] / "nvidia_pytriton.libs"), os.environ.get("LD_LIBRARY_PATH", "")]
    environment = os.environ | {"LD_LIBRARY_PATH": ":".join(filter(None, libraries))}
    program = str(server / "bin" / "tritonserver")
    arguments = [
        program, f"--model-repository={folder / 'models'}", f"--backend-directory={folder / 'backends'}", "--http-address=127.0.0.1",
        f"--http-port={port}", f"--grpc-port={port + 1}", "--grpc-address=127.0.0.1", "--allow-metrics=false", "--log-verbose=0",
    ]  # fmt: skip
    os.execve(program, arguments, environment)
