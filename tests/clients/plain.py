"""requests, as the README's curl does it."""

import requests

import cases

URL = f"{cases.URL}/v2/models/breast-cancer/infer"

answer = requests.post(URL, json=cases.example("breast_cancer"), headers=cases.HEADERS, timeout=30)
assert answer.status_code == 200, answer.text
body = answer.json()
assert (body["model_name"], body["model_version"]) == ("breast-cancer", "1"), body
cases.check(cases.arrays(body["outputs"]), cases.expected("breast_cancer"), "requests")
assert answer.headers["x-bottega-model"] == "breast_cancer"
assert answer.headers["x-bottega-model-version"] == "1"
assert answer.headers["x-bottega-model-digest"].startswith("sha256:")
assert answer.headers["x-request-id"] and answer.headers["x-bottega-inference-id"]

# As curl -d sends it: with a form's content type.
form = {"content-type": "application/x-www-form-urlencoded", **cases.HEADERS}
answer = requests.post(URL, data=(cases.DATA / "breast_cancer.example.json").read_bytes(), headers=form, timeout=30)
assert answer.status_code == 200, answer.text

# The token as a password, for clients that know nothing else.
answer = requests.post(URL, json=cases.example("breast_cancer"), auth=("anybody", cases.TOKEN), timeout=30)
assert answer.status_code == 200, answer.text

answer = requests.post(URL, json=cases.example("breast_cancer"), timeout=30)
assert answer.status_code == 401 and isinstance(answer.json()["error"], str), answer.text
