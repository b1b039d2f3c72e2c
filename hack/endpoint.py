"""Serves a GGUF model OpenAI-compatible with llama.cpp: endpoint.py MODEL PORT [HOST]. Started by hack/endpoint.

AGOGE_ENDPOINT_SLOTS (2) requests at once, AGOGE_ENDPOINT_CONTEXT (8192) tokens of each, AGOGE_ENDPOINT_THREADS threads.
"""
import os
import signal
import sys
import threading

import xllamacpp

model, port = sys.argv[1], int(sys.argv[2])
params = xllamacpp.CommonParams()
params.model.path = model
params.hostnames = [sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1"]
params.port = port
# Slots share the context. A second slot lets a rollout's agent and user each keep their own prompt prefix.
params.n_parallel = int(os.environ.get("AGOGE_ENDPOINT_SLOTS", "2"))
params.n_ctx = int(os.environ.get("AGOGE_ENDPOINT_CONTEXT", "8192")) * params.n_parallel
params.cpuparams.n_threads = int(os.environ.get("AGOGE_ENDPOINT_THREADS", str(os.cpu_count() or 2)))
params.cpuparams_batch.n_threads = params.cpuparams.n_threads
params.cache_prompt = True
params.cache_ram_mib = 1024
params.use_jinja = True
server = xllamacpp.Server(params)
stop = threading.Event()
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: stop.set())
stop.wait()
os._exit(0)
