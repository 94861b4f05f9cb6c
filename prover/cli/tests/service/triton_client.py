"""The unmodified client of the Triton server, over HTTP and gRPC. Arguments: HTTP address, gRPC address, API key."""

import sys

import numpy as np
import tritonclient.grpc as grpc
import tritonclient.http as http
from tritonclient.utils import InferenceServerException

http_address, grpc_address, key = sys.argv[1:]
# The client writes into the headers it is given, so every call gets its own.
authorization = {"authorization": f"Bearer {key}"}
rng = np.random.default_rng(5)
pixels = rng.random((1, 1, 8, 8), dtype=np.float32)


def tensor(module, data):
    value = module.InferInput("x", list(data.shape), "FP32")
    value.set_data_from_numpy(data)
    return value


def refused(call):
    try:
        call()
    except InferenceServerException as error:
        return error
    raise AssertionError("not refused")


over_http = http.InferenceServerClient(http_address)
assert over_http.is_server_live() and over_http.is_server_ready()
assert over_http.is_model_ready("digits", headers=dict(authorization))
assert not over_http.is_model_ready("none", headers=dict(authorization))
assert over_http.get_server_metadata()["name"] == "vinfer"
metadata = over_http.get_model_metadata("digits", headers=dict(authorization))
assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [1, 1, 8, 8]}], metadata

binary = over_http.infer("digits", [tensor(http, pixels)], headers=dict(authorization), parameters={"proof": "wait"})
answer = binary.get_response()
assert answer["parameters"]["proof_state"] == "done", answer
outputs = binary.as_numpy("y")
assert outputs.shape == (1, 10) and outputs.dtype == np.float32

plain = http.InferInput("x", [1, 1, 8, 8], "FP32")
plain.set_data_from_numpy(pixels, binary_data=False)
wanted = http.InferRequestedOutput("y", binary_data=False)
listed = over_http.infer("digits", [plain], outputs=[wanted], headers=dict(authorization), request_id="r1")
assert np.array_equal(listed.as_numpy("y"), outputs)
assert listed.get_response()["id"] == "r1"
assert listed.get_response()["parameters"]["statement"] == answer["parameters"]["statement"]
assert "401" in str(refused(lambda: over_http.infer("digits", [plain])).status())
assert "400" in str(refused(lambda: over_http.infer("digits", [tensor(http, pixels[:, :, :4])], headers=dict(authorization))).status())

over_grpc = grpc.InferenceServerClient(grpc_address)
assert over_grpc.is_server_live() and over_grpc.is_server_ready()
assert over_grpc.is_model_ready("digits", headers=dict(authorization))
metadata = over_grpc.get_model_metadata("digits", headers=dict(authorization))
assert list(metadata.inputs[0].shape) == [1, 1, 8, 8], metadata
raw = over_grpc.infer("digits", [tensor(grpc, pixels)], headers=dict(authorization), parameters={"proof": "wait"}, request_id="r2")
assert np.array_equal(raw.as_numpy("y"), outputs)
parameters = raw.get_response().parameters
assert parameters["statement"].string_param == answer["parameters"]["statement"]
assert parameters["proof_state"].string_param == "done"
assert raw.get_response().id == "r2"

# Typed tensors, which the client's own classes do not send but its messages do.
from tritonclient.grpc import service_pb2, service_pb2_grpc
import grpc as transport

stub = service_pb2_grpc.GRPCInferenceServiceStub(transport.insecure_channel(grpc_address))
request = service_pb2.ModelInferRequest(model_name="digits")
value = request.inputs.add(name="x", datatype="FP32", shape=[1, 1, 8, 8])
value.contents.fp32_contents.extend(pixels.flatten().tolist())
request.parameters["proof"].string_param = "none"
typed = stub.ModelInfer(request, metadata=[("authorization", f"Bearer {key}")])
assert np.array_equal(np.array(typed.outputs[0].contents.fp32_contents, np.float32), outputs[0])
assert "proof_job_id" not in typed.parameters

assert "UNAUTHENTICATED" in refused(lambda: over_grpc.infer("digits", [tensor(grpc, pixels)])).status()
assert "NOT_FOUND" in refused(lambda: over_grpc.infer("none", [tensor(grpc, pixels)], headers=dict(authorization))).status()
wrong = tensor(grpc, pixels.astype(np.float32)[:, :, :4])
assert "INVALID_ARGUMENT" in refused(lambda: over_grpc.infer("digits", [wrong], headers=dict(authorization))).status()

repeated = dict(authorization, **{"idempotency-key": "g1"})
first = over_grpc.infer("digits", [tensor(grpc, pixels)], headers=repeated, parameters={"proof": "async"}, priority=3)
again = over_grpc.infer("digits", [tensor(grpc, pixels)], headers=repeated, parameters={"proof": "async"}, priority=3)
assert first.get_response() == again.get_response()
other = tensor(grpc, 1 - pixels)
assert "ALREADY_EXISTS" in refused(lambda: over_grpc.infer("digits", [other], headers=repeated)).status()
print(answer["parameters"]["statement"])
