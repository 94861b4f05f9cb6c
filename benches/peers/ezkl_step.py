"""One step of an EZKL proof, in its own process: ezkl_step.py STEP MODEL.onnx INPUT.json SRS

Intermediate files are read from and written to the current directory. Prints one JSON object as its last line.
"""

import json
import os
import sys
import time

import ezkl


def load(path):
    with open(path) as file:
        return json.load(file)


def run(step, model, data, srs):
    """Runs a step; returns whether it worked and what else to report."""
    if step == "version":
        return True, {"version": ezkl.__version__}
    if step == "settings":
        # Defaults: public input and output, weights fixed in the verifying key.
        return ezkl.gen_settings(model, "settings.json", ezkl.PyRunArgs()), {}
    if step == "calibrate":
        done = ezkl.calibrate_settings(data, model, "settings.json", "resources")
        settings = load("settings.json")
        chosen = ("input_scale", "param_scale", "scale_rebase_multiplier", "logrows", "num_inner_cols")
        return done, {"num_rows": settings["num_rows"]} | {key: settings["run_args"][key] for key in chosen}
    if step == "compile":
        return ezkl.compile_circuit(model, "model.compiled", "settings.json"), {}
    if step == "srs":
        # For measuring only: whoever makes a reference string alone can forge proofs under it.
        ezkl.gen_srs(srs + ".part", load("settings.json")["run_args"]["logrows"])
        os.replace(srs + ".part", srs)
        return True, {}
    if step == "setup":
        return ezkl.setup("model.compiled", "vk", "pk", srs), {}
    if step == "witness":
        ezkl.gen_witness(data, "model.compiled", "witness.json")
        return True, {"outputs": [float(x) for x in load("witness.json")["pretty_elements"]["rescaled_outputs"][0]]}
    if step == "prove":
        ezkl.prove("witness.json", "model.compiled", "pk", "proof.json", srs)
        return True, {"proof_bytes": len(load("proof.json")["proof"])}
    if step == "verify":
        return ezkl.verify("proof.json", "settings.json", "vk", srs), {}
    raise ValueError(f"no such step: {step}")


def main():
    watch, before = time.perf_counter(), os.times()
    done, report = run(*sys.argv[1:5])
    wall, after = time.perf_counter() - watch, os.times()
    cpu = after.user + after.system - before.user - before.system
    print(json.dumps({"done": bool(done), "call_seconds": wall, "call_cpu_seconds": cpu, **report}), flush=True)
    sys.exit(0 if done else 1)


main()
