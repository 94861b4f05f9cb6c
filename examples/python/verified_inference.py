"""Inference on a vinfer proving service with the stock client of the Triton server, then a proof that is checked here.

    pip install "tritonclient[http]"
    export VINFER_API_KEY=...
    python verified_inference.py --url http://127.0.0.1:8080 --model digits --vk pinned.vk

`pinned.vk` is the model's verifying key, from whoever publishes the model (`vinfer setup` makes it), not from the server. The
input is random; replace `sample()` by your own.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import triton_to_np_dtype


def arguments():
    parser = argparse.ArgumentParser(description="Inference with a proof that is checked locally.")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="address of the service")
    parser.add_argument("--model", required=True, help="name of the model")
    parser.add_argument("--vk", required=True, help="pinned verifying key")
    parser.add_argument("--vinfer", default="vinfer", help="the vinfer program")
    parser.add_argument("--ca", help="PEM file with the certificates to trust")
    return parser.parse_args()


def connect(args):
    scheme, _, address = args.url.partition("://")
    if scheme == "http":
        return triton.InferenceServerClient(address)
    options = {"ca_certs": args.ca} if args.ca else {}
    return triton.InferenceServerClient(address, ssl=True, ssl_options=options)


def sample(metadata):
    """A random value for every input of the model, by name."""
    rng = np.random.default_rng()
    values = {}
    for port in metadata["inputs"]:
        dtype = np.dtype(triton_to_np_dtype(port["datatype"]))
        values[port["name"]] = (rng.random(port["shape"]) * (1 if dtype.kind == "f" else 2)).astype(dtype)
    return values


def vinfer(args, *command):
    """Runs `vinfer remote`; the API key goes through the environment."""
    options = ["--url", args.url] + (["--ca", args.ca] if args.ca else [])
    return subprocess.run([args.vinfer, "remote", *command, *options], check=True, capture_output=True, text=True).stdout


def main():
    args = arguments()
    headers = lambda: {"authorization": f"Bearer {os.environ['VINFER_API_KEY']}"}
    client = connect(args)
    metadata = client.get_model_metadata(args.model, headers=headers())
    values = sample(metadata)
    inputs = []
    for port in metadata["inputs"]:
        tensor = triton.InferInput(port["name"], port["shape"], port["datatype"])
        tensor.set_data_from_numpy(values[port["name"]])
        inputs.append(tensor)
    # 32 random bytes that the proof is bound to, so that no older proof will do.
    context = os.urandom(32).hex()
    answer = client.infer(args.model, inputs, headers=headers(), parameters={"proof": "async", "context": context})
    outputs = {port["name"]: answer.as_numpy(port["name"]) for port in metadata["outputs"]}
    job = answer.get_response()["parameters"]["proof_job_id"]

    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        # The command's files have samples as their first axis; models with a batch axis have it already.
        np.savez(directory / "input.npz", **values)
        np.savez(directory / "output.npz", **outputs)
        start = time.monotonic()
        vinfer(args, "wait", job)
        waited = time.monotonic() - start
        vinfer(args, "proof", "--job", job, "-o", str(directory / "proof"))
        # Offline: demands that the proof is for these inputs, these outputs, this context and the pinned key.
        files = ["--proof", directory / "proof", "--input", directory / "input.npz", "--output", directory / "output.npz"]
        verify = [args.vinfer, "verify", "--vk", args.vk, "--context", context, *files]
        checked = subprocess.run(verify, capture_output=True, text=True)
    if checked.returncode != 0:
        sys.exit(f"the server's answer is not proven: {checked.stderr.strip()}")
    for name, value in outputs.items():
        print(f"{name} = {value.tolist()}")
    print(f"verified locally, {waited:.1f} s after the answer")
    print(checked.stdout.splitlines()[0])


if __name__ == "__main__":
    main()
