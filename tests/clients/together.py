"""32 callers at once, each with rows of its own: every answer must be that of its rows."""

import random
import threading
import time

import numpy as np
import requests
import tritonclient.grpc

import cases

SECONDS = 4
PIXELS, WANTED = cases.inputs("digits")["pixels"], cases.expected("digits")


def by_requests(session, rows, name):
    tensor = {"name": "pixels", "shape": [len(rows), 64], "datatype": "FP32", "data": PIXELS[rows].reshape(-1).tolist()}
    answer = session.post(f"{cases.URL}/v2/models/digits/infer", json={"id": name, "inputs": [tensor]}, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.json()["id"] == answer.headers["x-bottega-inference-id"] == name
    return cases.arrays(answer.json()["outputs"])


def by_grpc(client, rows, name):
    tensor = tritonclient.grpc.InferInput("pixels", [len(rows), 64], "FP32")
    tensor.set_data_from_numpy(PIXELS[rows])
    answer = client.infer("digits", [tensor], request_id=name, headers=cases.HEADERS)
    assert answer.get_response().id == name
    return {output: answer.as_numpy(output) for output in WANTED}


def caller(number, until, counts, failures):
    choice, client = random.Random(number), tritonclient.grpc.InferenceServerClient(cases.GRPC)
    session = requests.Session()
    session.headers.update(cases.HEADERS)
    try:
        while time.monotonic() < until:
            rows = [choice.randrange(len(PIXELS)) for _ in range(choice.choice([1, 1, 1, 2, 5]))]
            ask, by = (by_requests, session) if number % 2 else (by_grpc, client)
            name = f"{number}-{counts[number]}"
            cases.check(ask(by, rows, name), {n: a[rows] for n, a in WANTED.items()}, f"{name}, rows {rows}")
            counts[number] += 1
    except Exception as error:
        failures.append(f"caller {number}: {error!r}")


def main():
    # Else a mix-up would not be seen.
    for one in range(len(PIXELS)):
        for other in range(one):
            difference = np.abs(WANTED["probabilities"][one] - WANTED["probabilities"][other]).max()
            assert difference > 1e-4, f"rows {one} and {other} are alike"
    counts, failures, until = [0] * 32, [], time.monotonic() + SECONDS
    threads = [threading.Thread(target=caller, args=(n, until, counts, failures)) for n in range(len(counts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, "\n".join(failures)
    assert min(counts) > 3, f"a caller was starved: {counts}"
    print(sum(counts), "answers")


main()
