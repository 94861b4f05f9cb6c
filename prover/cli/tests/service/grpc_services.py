"""`vinfer.v1`, health and reflection over gRPC. No generated code: every message comes from the server's reflection.

Arguments: address, API key, model file, certificate ("-" without TLS). Prints the key and the proof that were downloaded.
"""

import json
import sys
import time

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

address, key, model_path, certificate = sys.argv[1:]
if certificate == "-":
    channel = grpc.insecure_channel(address)
else:
    with open(certificate, "rb") as pem:
        channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(pem.read()))

database = ProtoReflectionDescriptorDatabase(channel)
services = set(database.get_services())
expected = {"vinfer.v1.Models", "vinfer.v1.Jobs", "vinfer.v1.Proofs", "vinfer.v1.Usage", "inference.GRPCInferenceService", "grpc.health.v1.Health"}
assert expected <= services, services
pool = DescriptorPool(database)


def message(name):
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def call(method, request, more=(), authorized=True):
    """Calls SERVICE/METHOD with a message, or a list of them where the method takes a stream."""
    service, name = method.split("/")
    descriptor = pool.FindServiceByName(service).FindMethodByName(name)
    request_class = message_factory.GetMessageClass(descriptor.input_type)
    response_class = message_factory.GetMessageClass(descriptor.output_type)
    kinds = {(False, False): channel.unary_unary, (False, True): channel.unary_stream, (True, False): channel.stream_unary}
    kind = kinds[isinstance(request, list), descriptor.server_streaming]
    stub = kind("/" + method, request_serializer=request_class.SerializeToString, response_deserializer=response_class.FromString)
    metadata = list(more) + ([("authorization", f"Bearer {key}")] if authorized else [])
    if isinstance(request, list):
        return stub(iter([request_class(**piece) for piece in request]), metadata=metadata, timeout=60)
    return stub(request_class(**request), metadata=metadata, timeout=60)


def refused(code, *arguments, **named):
    try:
        answer = call(*arguments, **named)
        list(answer) if hasattr(answer, "__next__") else answer
    except grpc.RpcError as error:
        assert error.code() == code, error
        return dict(error.trailing_metadata())
    raise AssertionError(f"not refused: {arguments}")


Status = grpc.StatusCode

# Health needs no key.
for service in ["", "inference.GRPCInferenceService"]:
    assert call("grpc.health.v1.Health/Check", {"service": service}, authorized=False).status == 1
refused(Status.NOT_FOUND, "grpc.health.v1.Health/Check", {"service": "none"}, authorized=False)

# Models. Uploads are done once under one key; the same key with something else is refused.
with open(model_path, "rb") as file:
    model = file.read()
pieces = lambda name, data: [{"name": name, "piece": data[at : at + 1000]} for at in range(0, len(data), 1000)]
once = lambda key: [("idempotency-key", key)]
refused(Status.UNAUTHENTICATED, "vinfer.v1.Models/Upload", pieces("digits", model), authorized=False)
refused(Status.INVALID_ARGUMENT, "vinfer.v1.Models/Upload", [{"name": "digits"}])
refused(Status.INVALID_ARGUMENT, "vinfer.v1.Models/Upload", [{"name": "a", "piece": b"1"}, {"name": "b", "piece": b"2"}])
uploaded = call("vinfer.v1.Models/Upload", pieces("digits", model), once("u"))
assert (uploaded.name, uploaded.bytes) == ("digits", len(model))
deadline = time.time() + 60
while call("vinfer.v1.Models/Get", {"name": "digits"}).state in (1, 2):
    assert time.time() < deadline
    time.sleep(0.05)
ready = call("vinfer.v1.Models/Get", {"name": "digits"})
assert ready.state == 3 and list(ready.inputs[0].shape) == [1, 1, 8, 8], ready
again = call("vinfer.v1.Models/Upload", pieces("digits", model), once("u"))
assert again == uploaded, "the answer is the first one, not that of now"
assert refused(Status.ALREADY_EXISTS, "vinfer.v1.Models/Upload", pieces("digits", model[:-1]), more=once("u"))["vinfer-code"] == "conflict"
assert refused(Status.ALREADY_EXISTS, "vinfer.v1.Models/Upload", pieces("other", model), more=once("u"))["vinfer-code"] == "conflict"
refused(Status.INVALID_ARGUMENT, "vinfer.v1.Models/Upload", pieces("other", model), more=once("k" * 256))
assert [model.name for model in call("vinfer.v1.Models/List", {}).models] == ["digits"]
vk = call("vinfer.v1.Models/GetVerifyingKey", {"name": "digits"}).vk
refused(Status.NOT_FOUND, "vinfer.v1.Models/Get", {"name": "none"})


def infer(seed, more=()):
    request = message("inference.ModelInferRequest")(model_name="digits")
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[1, 1, 8, 8])
    tensor.contents.fp32_contents.extend(((seed * 31 + at * 7) % 251) / 250 for at in range(64))
    service = channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        request_serializer=type(request).SerializeToString,
        response_deserializer=message("inference.ModelInferResponse").FromString,
    )
    return service(request, metadata=[("authorization", f"Bearer {key}"), *more], timeout=60)


# Jobs: watched to the end, and again from the last event on.
answer = infer(1)
job, statement = answer.parameters["proof_job_id"].string_param, answer.parameters["statement"].string_param
events = list(call("vinfer.v1.Jobs/Watch", {"id": job}))
assert events[-1].kind == "done" and [event.id for event in events] == sorted({event.id for event in events}), events
assert all(json.loads(event.json)["id"] == event.id for event in events)
assert list(call("vinfer.v1.Jobs/Watch", {"id": job, "after": events[-1].id})) == []
done = call("vinfer.v1.Jobs/Get", {"id": job})
assert done.state == 3 and done.statement == statement and done.security_bits >= 100, done
assert [job.id for job in call("vinfer.v1.Jobs/List", {"limit": 10}).jobs] == [job]
refused(Status.INVALID_ARGUMENT, "vinfer.v1.Jobs/List", {"before": "no id"})
refused(Status.NOT_FOUND, "vinfer.v1.Jobs/Watch", {"id": "0" * 32})

# Cancelling is done once too. Of many jobs the last one waits long enough; one that is done is not cancelled.
refused(Status.FAILED_PRECONDITION, "vinfer.v1.Jobs/Cancel", {"id": job}, more=once("late"))
jobs = [infer(seed).parameters["proof_job_id"].string_param for seed in range(2, 52)]
first = call("vinfer.v1.Jobs/Cancel", {"id": jobs[-1]}, once("c"))
assert first.state == 5 and call("vinfer.v1.Jobs/Cancel", {"id": jobs[-1]}, once("c")) == first
refused(Status.ALREADY_EXISTS, "vinfer.v1.Jobs/Cancel", {"id": jobs[-2]}, more=once("c"))
# One key is one request, whatever the method.
refused(Status.ALREADY_EXISTS, "vinfer.v1.Models/Disable", {"name": "digits"}, more=once("c"))

# Proofs.
proof = call("vinfer.v1.Proofs/GetByJob", {"id": job})
assert proof.statement == statement
assert call("vinfer.v1.Proofs/GetByStatement", {"statement": statement}) == proof
refused(Status.NOT_FOUND, "vinfer.v1.Proofs/GetByStatement", {"statement": "0" * 64})
refused(Status.INVALID_ARGUMENT, "vinfer.v1.Proofs/GetByStatement", {"statement": "short"})
verdict = call("vinfer.v1.Proofs/Verify", {"vk": vk, "proof": proof.proof}, once("v"))
assert verdict.valid and verdict.statement == statement and verdict.security_bits >= 100, verdict
broken = proof.proof[:-1] + bytes([proof.proof[-1] ^ 1])
assert not call("vinfer.v1.Proofs/Verify", {"vk": vk, "proof": broken}).valid
refused(Status.ALREADY_EXISTS, "vinfer.v1.Proofs/Verify", {"vk": vk, "proof": broken}, more=once("v"))

deadline = time.time() + 60
while call("vinfer.v1.Usage/Get", {}).done < 2:
    assert time.time() < deadline
    time.sleep(0.05)

# Disabled models are not run, and their proofs are still had.
disabled = call("vinfer.v1.Models/Disable", {"name": "digits"}, once("d"))
assert disabled.state == 5 and call("vinfer.v1.Models/Disable", {"name": "digits"}, once("d")) == disabled
try:
    infer(3)
    raise AssertionError("a disabled model was run")
except grpc.RpcError as error:
    assert error.code() == Status.FAILED_PRECONDITION, error
assert call("vinfer.v1.Proofs/GetByJob", {"id": job}) == proof
print(json.dumps({"vk": vk.hex(), "proof": proof.proof.hex(), "statement": statement}))
