"""Models as users have them: trained by scikit-learn, exported by skl2onnx."""

import json

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

ROWS = 16
OPSET = {"": 18, "ai.onnx.ml": 3}


def make(data):
    breast_cancer(data)
    digits(data)
    color_size(data)
    sentiment(data)
    language(data)


def breast_cancer(data):
    """30 numbers -> label and probabilities."""
    features, target = load_breast_cancer(return_X_y=True)
    features = features.astype(np.float32)
    model = make_pipeline(StandardScaler(), LogisticRegression(random_state=0)).fit(features, target)
    save(data, "breast_cancer", model, {"features": spread(features)})
    # The same with scikit-learn's default output, a sequence of maps: no tensor, so not servable.
    types = [("features", FloatTensorType([None, 30]))]
    write(data / "zipmap.onnx", to_onnx(model, initial_types=types, target_opset=OPSET))


def digits(data):
    """64 grey pixels -> label and probabilities of the ten digits."""
    pixels, target = load_digits(return_X_y=True)
    pixels = pixels.astype(np.float32)
    network = MLPClassifier(hidden_layer_sizes=(32,), random_state=0, max_iter=400)
    model = make_pipeline(StandardScaler(), network).fit(pixels, target)
    save(data, "digits", model, {"pixels": spread(pixels)})


def color_size(data):
    """A string and a number, as two inputs -> a label that is a string, and probabilities."""
    random = np.random.default_rng(0)
    color = random.choice(["red", "green", "blue"], size=(400, 1)).astype(object)
    size = random.uniform(0, 10, size=(400, 1)).astype(np.float32)
    target = np.where(size[:, 0] + 4 * (color[:, 0] == "red") > 6, "heavy", "light")
    columns = ColumnTransformer([("color", OneHotEncoder(), [0]), ("size", StandardScaler(), [1])])
    model = make_pipeline(columns, LogisticRegression(random_state=0)).fit(np.hstack([color, size]), target)
    save(data, "color_size", model, {"color": spread(color), "size": spread(size)})


def sentiment(data):
    """A sentence -> whether it is kind, and probabilities of the two moods."""
    kind = "good great lovely superb brilliant charming moving delightful".split()
    unkind = "bad awful boring weak dull clumsy tedious dreadful".split()
    frames = ["the film was {}", "a {} story", "what a {} evening", "{} actors and a {} plot"]
    text = [frame.format(word, word) for word in kind + unkind for frame in frames]
    mood = ["kind" if word in kind else "unkind" for word in kind + unkind for _ in frames]
    classify_text(data, "sentiment", text, mood)


def language(data):
    """A sentence -> its language, and probabilities of the three."""
    text = {
        "de": "das ist ein gutes buch|wo ist der bahnhof|ich habe keine zeit|wir gehen heute in die stadt|er liest die zeitung|das wetter ist schlecht|sie kommt aus der schweiz|es gibt noch kaffee",
        "en": "this is a good book|where is the station|i have no time|we are going to town today|he reads the paper|the weather is bad|she comes from switzerland|there is some coffee left",
        "fr": "c'est un bon livre|où est la gare|je n'ai pas le temps|nous allons en ville|il lit le journal|le temps est mauvais|elle vient de suisse|il reste du café",
    }
    pairs = [(line, key) for key, lines in text.items() for line in lines.split("|")]
    classify_text(data, "language", *zip(*pairs))


def classify_text(data, name, text, target):
    """Both take and answer tensors of the same names and types; the probabilities tell them apart."""
    text, target = np.array(text, dtype=object).reshape(-1, 1), np.array(target)
    words = ColumnTransformer([("text", TfidfVectorizer(lowercase=False), 0)])
    model = make_pipeline(words, LogisticRegression(C=10, random_state=0)).fit(text, target)
    save(data, name, model, {"text": spread(text)})


def save(data, name, model, inputs):
    """The model, an example request, and what scikit-learn answers to it."""
    types = [(key, onnx_type(values)) for key, values in inputs.items()]
    file = data / f"{name}.onnx"
    write(file, to_onnx(model, initial_types=types, target_opset=OPSET, options={"zipmap": False}))

    columns = list(inputs.values())
    table = columns[0] if len(columns) == 1 else np.hstack(columns)
    outputs = {"label": model.predict(table), "probabilities": model.predict_proba(table).astype(np.float32)}
    write_json(data / f"{name}.example.json", {"inputs": [tensor(*pair) for pair in inputs.items()]})
    write_json(data / f"{name}.expected.json", {"outputs": [tensor(*pair) for pair in outputs.items()]})

    # An export that differs from the original would make every test that compares them fail.
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    label, probabilities = session.run(["label", "probabilities"], inputs)
    assert (label == outputs["label"]).all(), name
    assert np.abs(probabilities - outputs["probabilities"]).max() < 1e-5, name


def spread(rows):
    """Some rows from all over the table, so that every label occurs."""
    return rows[:: len(rows) // ROWS][:ROWS]


def onnx_type(values):
    kind = StringTensorType if values.dtype == object else FloatTensorType
    return kind([None, values.shape[1]])


def tensor(name, values):
    """V2's JSON form; the shortest decimals that give the same float again."""
    datatype = {"f": "FP32", "i": "INT64", "O": "BYTES", "U": "BYTES"}[values.dtype.kind]
    flat = values.reshape(-1)
    elements = [float(str(element)) for element in flat] if datatype == "FP32" else flat.tolist()
    return {"name": name, "shape": list(values.shape), "datatype": datatype, "data": elements}


def write(file, model):
    file.write_bytes(model.SerializeToString(deterministic=True))


def write_json(file, value):
    file.write_text(json.dumps(value) + "\n")
