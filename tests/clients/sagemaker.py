"""boto3's SageMaker runtime, told where to go by `endpoint_url`."""

import datetime
import hashlib
import json
import uuid
from unittest import mock

import boto3
import cases
import requests
from botocore import UNSIGNED
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError


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


def signed(key, body=body, endpoint="breast-cancer", service="sagemaker", date=None, headers=None, drop=(), after=None):
    """A request that botocore's signer signs, sent by `requests`: what boto3 itself would not send."""
    request = AWSRequest("POST", f"{cases.URL}/endpoints/{endpoint}/invocations", headers={"content-type": "application/json"} | (headers or {}), data=body)
    signer = SigV4Auth(Credentials(key["access_key_id"], key["secret_access_key"]), service, "eu-central-1")
    signer.signed_headers = lambda names: ";".join(sorted(n.lower() for n in set(names) if n.lower() not in drop))
    with mock.patch("botocore.auth.get_current_datetime", lambda: date or datetime.datetime.now(datetime.UTC)):
        signer.add_auth(request)
    prepared = request.prepare()
    after = dict(after or {})
    sent = after.pop("body", prepared.body)
    return requests.post(prepared.url, headers=dict(prepared.headers) | after, data=sent)


def make_token(**wanted):
    made = requests.post(f"{cases.URL}/api/v1/tokens", headers=cases.HEADERS, json={"name": "boto3", "sigv4": True} | wanted)
    assert made.status_code == 201, made.text
    return made.json()


def by_keys(key):
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client("sagemaker-runtime", endpoint_url=cases.URL, region_name="eu-central-1", config=config, aws_access_key_id=key["access_key_id"], aws_secret_access_key=key["secret_access_key"])


# boto3 as it is, with the keys that a token was made with.
token = make_token(scopes=["invoke:endpoint:breast-cancer"])
key = token["sigv4"]
assert key["access_key_id"] == token["id"] and token["token"] not in str(key)
runtime = by_keys(key)
answer = runtime.invoke_endpoint(**asked, CustomAttributes="trace=7   and  more", InferenceId="signed", TargetVariant="1")
assert json.loads(answer["Body"].read())["predictions"] == predictions
assert answer["CustomAttributes"].split() == ["trace=7", "and", "more"] and answer["InvokedProductionVariant"] == "1", answer
large = json.dumps({"instances": tensor.tolist() * 200})
answer = runtime.invoke_endpoint(**asked | {"Body": large})
assert len(json.loads(answer["Body"].read())["predictions"]["label"]) == 200 * len(tensor)

# The scopes of the token hold, and so does the limit of bodies.
refused(lambda: runtime.invoke_endpoint(**asked | {"EndpointName": "nobody"}), "ValidationError", "nobody")
refused(lambda: runtime.invoke_endpoint(**asked | {"Body": "[" * (17 << 20)}), "ValidationError", "larger")
assert requests.get(f"{cases.URL}/api/v1/me", headers={"authorization": f"Bearer {key['secret_access_key']}"}).status_code == 401

# The same request again is the same request. Changed in any way it is nobody's.
assert signed(key).status_code == 200
now = datetime.datetime.now(datetime.UTC)
minutes = lambda number: now + datetime.timedelta(minutes=number)
for what, answer in {
    "another body": signed(key, after={"body": body.replace("1", "2", 1)}),
    "another variant": signed(key, after={"x-amzn-sagemaker-target-variant": "1"}),
    "another content type": signed(key, after={"content-type": "text/csv"}),
    "another host": signed(key, after={"host": "elsewhere"}),
    "for somebody": signed(key, after={"x-bottega-on-behalf-of": "user:admin"}),
    "an unsigned host": signed(key, drop=("host",)),
    "another service": signed(key, service="s3"),
    "another secret": signed(key | {"secret_access_key": "0" * 64}),
    "the token as the secret": signed(key | {"secret_access_key": token["token"]}),
    "another token's secret": signed(key | {"access_key_id": make_token()["id"]}),
    "no such token": signed(key | {"access_key_id": str(uuid.uuid4())}),
    "no id": signed(key | {"access_key_id": "AKIAIOSFODNN7EXAMPLE"}),
    "long ago": signed(key, date=minutes(-6)),
    "in the future": signed(key, date=minutes(6)),
    "a session": signed(key, headers={"x-amz-security-token": "x"}),
    "an unsigned body": signed(key, headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}),
}.items():
    assert answer.status_code == 401, f"{what}: {answer.status_code} {answer.text}"
    assert answer.headers["x-amzn-errortype"] == "UnrecognizedClientException" and answer.json()["message"], what
assert signed(key, date=minutes(-4)).status_code == 200
hashed = hashlib.sha256(body.encode()).hexdigest()
assert signed(key, headers={"x-amz-content-sha256": hashed}).status_code == 200
elsewhere = requests.get(f"{cases.URL}/api/v1/me", headers={"authorization": "AWS4-HMAC-SHA256 Credential=x"})
assert elsewhere.status_code == 401 and "/endpoints/" in elsewhere.text, elsewhere.text

# A token that was not made for it shows no secret, and one that is revoked signs nothing.
assert make_token(sigv4=False)["sigv4"] is None
assert requests.delete(f"{cases.URL}/api/v1/tokens/{token['id']}", headers=cases.HEADERS).status_code == 204
refused(lambda: runtime.invoke_endpoint(**asked), "UnrecognizedClientException", "revoked")
