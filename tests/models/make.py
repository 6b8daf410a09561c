"""Makes the models and archives that the tests use, in data/: `./just models`.

What it makes is committed, so that tests need neither Python nor these minutes; run it again to
change a model. Seeds and times are fixed, but another machine may round trained weights otherwise.

  data/NAME.onnx            real models, trained by scikit-learn (real.py)
  data/NAME.example.json    a V2 request for each, of 16 rows or more
  data/NAME.expected.json   the outputs that scikit-learn itself gives for it
  data/identity/TYPE.onnx   one model for each tensor type (plain.py)
  data/external/            weights beside the model, as large models have them (plain.py)
  data/*.onnx, the others   what must be refused or stopped (hostile.py), and simple ones (plain.py)
  data/*.zip, *.tar*        good and hostile archives (archives.py)
"""

import pathlib
import shutil

import archives
import hostile
import plain
import real

LARGEST = 200_000  # bytes of one file: they are in the repository for ever


def main():
    data = pathlib.Path(__file__).parent / "data"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir()
    for module in (real, plain, hostile, archives):
        module.make(data)
    for file in data.rglob("*"):
        assert file.stat().st_size < LARGEST, f"{file} has {file.stat().st_size} bytes"


if __name__ == "__main__":
    main()
