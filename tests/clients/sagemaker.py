"""boto3's SageMaker runtime, told where to go by `endpoint_url`."""

import json

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

import cases


def client(headers):
    config = Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1})
    runtime = boto3.client("sagemaker-runtime", endpoint_url=cases.URL, region_name="eu-central-1", config=config)

    def authorise(request, **_):
        for name, value in headers.items():
            request.headers[name] = value

    runtime.meta.events.register("before-sign.sagemaker-runtime.*", authorise)
    return runtime


def refused(call, code, *words):
    try:
        call()
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error.response
        for word in words:
            assert word in str(error), error
    else:
        raise AssertionError(f"not refused, but should be {code}")


runtime = client(cases.HEADERS)
(tensor,) = cases.inputs("breast_cancer").values()
body = json.dumps({"instances": tensor.tolist()})
asked = dict(EndpointName="breast-cancer", ContentType="application/json", Body=body)

answer = runtime.invoke_endpoint(**asked, InferenceId="mine", CustomAttributes="trace=7", TargetVariant="1", Accept="application/json")
assert answer["InvokedProductionVariant"] == "1" and answer["CustomAttributes"] == "trace=7", answer
assert answer["ContentType"] == "application/json"
assert answer["ResponseMetadata"]["HTTPHeaders"]["x-bottega-inference-id"] == "mine"
predictions = json.loads(answer["Body"].read())["predictions"]
wanted = cases.expected("breast_cancer")
assert predictions["label"] == wanted["label"].tolist()

lines = [",".join(f"c{at}" for at in range(tensor.shape[1]))] + [",".join(map(repr, row)) for row in tensor.tolist()]
answer = runtime.invoke_endpoint(EndpointName="breast-cancer", ContentType="text/csv", Body="\n".join(lines))
assert [row["label"] for row in json.loads(answer["Body"].read())["predictions"]] == wanted["label"].tolist()

refused(lambda: runtime.invoke_endpoint(**asked | {"EndpointName": "nobody"}), "ValidationError", "nobody")
refused(lambda: runtime.invoke_endpoint(**asked, TargetVariant="9"), "ValidationError", "9")
refused(lambda: runtime.invoke_endpoint(**asked | {"Body": "{"}), "ValidationError", "JSON")
refused(lambda: runtime.invoke_endpoint(**asked | {"ContentType": "image/png"}), "ValidationError", "image/png")
refused(lambda: runtime.invoke_endpoint(**asked, Accept="image/png"), "ValidationError", "accept")
refused(lambda: runtime.invoke_endpoint(**asked, TargetModel="m"), "ValidationError", "target-model")
refused(lambda: client({}).invoke_endpoint(**asked), "UnrecognizedClientException")
