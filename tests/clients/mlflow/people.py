"""Users for tests: MLflow's client of its basic auth app, and acting as somebody else."""

import contextlib
import os
import sys
import types

# The client's package loads its server as well, which wants a library of forms that no client uses.
forms = types.ModuleType("flask_wtf.csrf")
forms.CSRFProtect = object
sys.modules.setdefault("flask_wtf", types.ModuleType("flask_wtf"))
sys.modules.setdefault("flask_wtf.csrf", forms)

from mlflow.server.auth.client import AuthServiceClient  # noqa: E402

PASSWORD, OTHER = "correct horse battery", "staple correct horse"
NAMES = ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


@contextlib.contextmanager
def acting(name, password=PASSWORD):
    """MLflow's clients are that user meanwhile."""
    before = {key: os.environ.pop(key, None) for key in NAMES}
    os.environ.update(MLFLOW_TRACKING_USERNAME=name, MLFLOW_TRACKING_PASSWORD=password)
    try:
        yield
    finally:
        for key, value in before.items():
            os.environ.pop(key, None)
            if value is not None:
                os.environ[key] = value


def admin():
    return AuthServiceClient(os.environ["MLFLOW_TRACKING_URI"])
