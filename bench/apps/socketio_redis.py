"""python-socketio over Redis."""

import os

import socketio
from apps._socketio import build

app = build(socketio.AsyncRedisManager(os.environ["BENCH_REDIS"]))
