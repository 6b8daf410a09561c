"""The JSON Schemas of endpoints hold for what is sent and answered, and for nothing else."""

import json
import os
import pathlib

import jsonschema
import requests

URL = os.environ["BOTTEGA_URL"]
HEADERS = {"authorization": f"Bearer {os.environ['BOTTEGA_TOKEN']}"}
MODELS = pathlib.Path(__file__).parents[2] / "models" / "data"


def holds(schema, document):
    return jsonschema.Draft202012Validator(schema).is_valid(document)


def ask(path, body):
    answer = requests.post(URL + path, json=body, headers=HEADERS)
    assert answer.status_code == 200, answer.text
    return answer.json()


for model in ["breast_cancer", "color_size", "fp32", "int64", "bool", "bytes"]:
    endpoint = model.replace("_", "-")
    schema = requests.get(f"{URL}/api/v1/endpoints/{endpoint}/schema", headers=HEADERS).json()
    rows = schema["rows"]
    for each in [schema["json_schema"], schema["answer_schema"], rows["json_schema"], rows["answer_schema"]]:
        jsonschema.Draft202012Validator.check_schema(each)
    file = MODELS / f"{model}.example.json"
    assert holds(schema["json_schema"], schema["example"]) and holds(rows["json_schema"], rows["example"]), model
    # What is made up of the signature need not be what a model knows: a category that it never saw.
    bodies = [json.loads(file.read_text()) if file.exists() else schema["example"]]
    for body in bodies:
        assert holds(schema["json_schema"], body), model
        answer = ask(f"/v2/models/{endpoint}/infer", body)
        assert holds(schema["answer_schema"], answer), (model, answer)
        wrong = json.loads(json.dumps(body))
        wrong["inputs"][0]["shape"].append(1)
        assert not holds(schema["json_schema"], wrong), model
        answer["outputs"][0]["name"] += "x"
        assert not holds(schema["answer_schema"], answer), model
    instances = rows["example"] if model != "color_size" else {"instances": [{"color": "red", "size": 1.5}]}
    assert holds(rows["json_schema"], instances), model
    answer = ask(f"/v1/models/{endpoint}:predict", instances)
    assert holds(rows["answer_schema"], answer), (model, answer)
    assert not holds(rows["json_schema"], {"instances": []}), model
    assert not holds(rows["json_schema"], rows["example"] | {"more": 1}), model
    assert not holds(rows["answer_schema"], {"predictions": [{"nothing": 1}]}), model
