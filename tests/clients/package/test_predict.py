"""What goes in as a prediction's inputs, and what comes out."""

import concurrent.futures

import bottega
import numpy as np
import pandas as pd
import pytest
from bottega import tensors
from conftest import Case


def frame(case):
    """The inputs as columns."""
    if len(case.inputs) == 1:
        (tensor,) = case.inputs.values()
        return pd.DataFrame(tensor, columns=[f"c{at}" for at in range(tensor.shape[1])])
    return pd.DataFrame({name: array[:, 0] for name, array in case.inputs.items()})


def shapes(case):
    """The same values in every form that is taken."""
    yield case.inputs
    yield {name: array.tolist() for name, array in case.inputs.items()}
    yield frame(case)
    yield frame(case).to_dict("records")
    if len(case.inputs) == 1:
        (tensor,) = case.inputs.values()
        yield tensor
        yield tensor.tolist()


def test_every_form_gives_the_answer_that_python_gives(client, case):
    for inputs in shapes(case):
        answer = client.predict(case.endpoint, inputs)
        case.check(answer)
        assert all(isinstance(array, np.ndarray) for array in answer.values())


def test_without_numpy_the_same_comes_as_lists(client, case, monkeypatch):
    plain = [{name: array.tolist() for name, array in case.inputs.items()}, frame(case).to_dict("records")]
    monkeypatch.setattr(tensors, "numpy", None)
    for inputs in plain:
        answer = client.predict(case.endpoint, inputs)
        case.check(answer)
        assert all(isinstance(values, list) for values in answer.values())


def test_an_answer_says_which_version_made_it_and_what_it_is_called(client, deployed):
    version, case = deployed("color_size.onnx"), Case("color_size")
    answer = client.predict(case.endpoint, case.inputs, outputs=["label"], version=1, inference_id="mine", timeout=30)
    assert list(answer) == ["label"] and len(answer) == 1
    assert (answer.model, answer.version, answer.digest, answer.inference_id) == ("color_size", 1, version.digest, "mine")
    with pytest.raises(bottega.NotFound, match="9"):
        client.predict(case.endpoint, case.inputs, version=9)
    with pytest.raises(bottega.Invalid, match="nothing"):
        client.predict(case.endpoint, case.inputs, outputs=["nothing"])


@pytest.mark.parametrize("datatype", [*tensors.DTYPES, "BF16", "BYTES"])
def test_every_type_comes_back_as_it_went(client, deployed, datatype):
    deployed(f"identity/{datatype.lower()}.onnx")
    if datatype == "BYTES":
        values = np.array([["a", ""], ["ž", "a b"]], object)
    elif datatype == "BOOL":
        values = np.array([[True, False], [False, True]])
    elif datatype == "BF16":
        values = np.array([[1.0, -2.5], [np.inf, np.nan]], np.float32)
    elif datatype.startswith("FP"):
        values = np.array([[1.5, -0.25], [np.inf, np.nan]], tensors.DTYPES[datatype])
    else:
        limits = np.iinfo(tensors.DTYPES[datatype])
        values = np.array([[limits.min, 0], [1, limits.max]], tensors.DTYPES[datatype])
    (answer,) = client.predict(datatype.lower(), values).values()
    assert answer.shape == (2, 2)
    np.testing.assert_array_equal(answer, values)


def test_what_would_lose_something_is_refused_by_name(client, deployed):
    deployed("identity/uint8.onnx"), deployed("identity/fp32.onnx"), deployed("identity/bytes.onnx"), deployed("color_size.onnx")
    for endpoint, values, words in [
        ("uint8", [[256]], "out of range"),
        ("uint8", [[-1]], "out of range"),
        ("uint8", [[1.5]], "UINT8"),
        ("fp32", [["x"]], "FP32"),
        ("bytes", [[1]], "str or bytes"),
        ("color-size", [[1.0, 2.0]], "dict of arrays"),
        ("color-size", {"color": [["red"]]}, "size"),
        ("color-size", [{"color": "red", "size": 1.0}, {"color": "red"}], "row 1"),
    ]:
        with pytest.raises(ValueError, match=words):
            client.predict(endpoint, values)
    (answer,) = client.predict("fp32", pd.DataFrame({"a": [1.0, None], "b": [None, 2.0]}, dtype=object)).values()
    np.testing.assert_array_equal(answer, np.array([[1, np.nan], [np.nan, 2]], np.float32))
    with pytest.raises(bottega.Invalid):
        client.predict("fp32", np.zeros((2, 2, 2), np.float32))


def test_a_new_release_may_have_other_inputs(client, deployed):
    deployed("identity/fp32.onnx"), deployed("identity/int64.onnx")
    client.deploy("changing", "fp32/1")
    assert client.predict("changing", [[1.5, 2.0]])["y"].dtype == np.float32
    with bottega.Client() as other:
        # What its contract forbids as long as it is the same endpoint.
        other._server.api("DELETE", "/endpoints/changing")
        other.deploy("changing", "int64/1")
    # What this client remembers is of the release before.
    assert client.predict("changing", [[1, 2]])["y"].dtype == np.int64


def test_a_token_that_may_call_and_not_look_gets_the_same_answers(client, case):
    made = client._server.api("POST", "/tokens", {"name": "scoring", "scopes": [f"invoke:endpoint:{case.endpoint}"]})
    with bottega.Client(token=made["token"]) as narrow:
        for inputs in shapes(case):
            case.check(narrow.predict(case.endpoint, inputs))
        with pytest.raises(bottega.NotFound):
            narrow.predict("nobody", case.inputs)


def test_such_a_token_loses_no_digit_and_reads_what_json_cannot_say(client, deployed):
    deployed("identity/fp64.onnx"), deployed("identity/fp32.onnx")
    scopes = [f"invoke:endpoint:{name}" for name in ("fp64", "fp32")]
    with bottega.Client(token=client._server.api("POST", "/tokens", {"name": "exact", "scopes": scopes})["token"]) as narrow:
        exact = [[1.23e-12, 0.1234567890123456], [3e-300, 1e300]]
        for values in (exact, np.array(exact), pd.DataFrame(exact, columns=["a", "b"])):
            (answer,) = narrow.predict("fp64", values).values()
            np.testing.assert_array_equal(answer, exact)
        (answer,) = narrow.predict("fp32", pd.DataFrame({"a": [1.0, None], "b": [2.0, 3.0]})).values()
        assert answer.dtype.kind == "f"
        np.testing.assert_array_equal(answer, [[1, 2], [np.nan, 3]])
        for refused in (pd.DataFrame({"a": pd.to_datetime(["2020-01-01"]), "b": [1]}), [[b"\xff", 1]]):
            with pytest.raises(ValueError, match="elements|binary"):
                narrow.predict("fp64", refused)


def test_a_time_to_answer_in_is_more_than_none(client, deployed):
    deployed("identity/fp32.onnx")
    for none in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            client.predict("fp32", [[1.0, 2.0]], timeout=none)
    with pytest.raises((bottega.TimedOut, bottega.Unreachable)):
        client.predict("fp32", [[1.0, 2.0]], timeout=5e-7)


@pytest.mark.parametrize(
    ("predictions", "expected"),
    [
        ([1.5, "NaN", "-Infinity"], {"output-0": [1.5, np.nan, -np.inf]}),
        ({"y": [["Infinity", 0.5]]}, {"y": [[np.inf, 0.5]]}),
        ([{"y": "NaN", "word": "NaN or not"}], {"y": [np.nan], "word": ["NaN or not"]}),
        ([], {}),
    ],
)
def test_outputs_of_scoring_are_numbers_or_words(predictions, expected):
    found = tensors.rows(predictions)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], np.array(values))


def test_threads_share_a_client_and_never_each_others_answers(client, deployed):
    deployed("identity/fp32.onnx")
    client.predict("fp32", [[0.0, 0.0]])

    def ask(number):
        (answer,) = client.predict("fp32", [[float(number), 1.0]]).values()
        return answer[0, 0] == number

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(400)))
