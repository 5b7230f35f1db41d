"""Checkpoints of a PyTorch training in S3, for jobs on spot machines. One file, for trainings of one process.

    with Checkpoint(model=model, optimizer=optimizer, scheduler=scheduler, sampler=sampler) as checkpoint:
        while checkpoint.steps < total:
            ...                      # one step of the training
            checkpoint.step()        # its boundary: all that is registered is consistent here

Registered is whatever has `state_dict` and `load_state_dict`. The random states of Python, numpy (if it is imported),
torch and CUDA come by themselves. Entering resumes from the newest complete checkpoint. `POST /checkpoint` saves at the
next boundary and answers when that is complete, or at its deadline with the last periodic one. The training then holds
still for the SIGTERM that follows a notice: steps done after the save would be lost. SIGTERM saves, too, and exits 143.

A checkpoint is PREFIX/STEP-RANDOM/part-NNNNN and, written last, manifest.json with the size and SHA-256 of each part.
Without a manifest it does not exist, so a kill at any moment costs at most the interval. Periodic saves are a copy in
memory (of the size of the state), written while the training goes on; it waits where more than the interval would stand
unsaved. The interval is sqrt(2 * w * M), w the seconds of the last write and M the mean time between interruptions
(J. W. Young, CACM 17(9), 1974; J. T. Daly, FGCS 22, 2006), at least a second. A write that fails is logged and tried
again later, 2 s to a minute; the training goes on.

Environment (seconds and bytes; defaults in brackets):
    NERVE_CHECKPOINT_URL               s3://BUCKET/PREFIX, one prefix a job; required
    NERVE_CHECKPOINT_HOST              where POST /checkpoint is heard [127.0.0.1]; in a pod give it status.podIP
    NERVE_CHECKPOINT_PORT              its port [8080]; 0 takes a free one and logs it
    NERVE_CHECKPOINT_TOKEN             if set, `Authorization: Bearer TOKEN` is demanded
    NERVE_CHECKPOINT_DEADLINE_SECONDS  longest wait of a POST, unless its body says {"deadlineSeconds": n} [90]
    NERVE_CHECKPOINT_HOLD_SECONDS      how long the training then waits for SIGTERM [30]
    NERVE_CHECKPOINT_MTBF_SECONDS      M [14400, a guess: give your zone's]
    NERVE_CHECKPOINT_INTERVAL_SECONDS  the interval itself, instead of w and M
    NERVE_CHECKPOINT_INTERVAL_STEPS    the interval in steps; with the other, whichever comes first
    NERVE_CHECKPOINT_PART_BYTES        about the size of one part [33554432]
    AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL [Amazon's], AWS_REGION or AWS_DEFAULT_REGION [us-east-1], AWS_CA_BUNDLE
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; else EKS Pod Identity's
    AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE; else what boto3 finds, if it is there

Python >= 3.8, torch >= 1.13. What is read is never unpickled freely: only by torch.load(weights_only=True), and only
torch's zip format.
"""

import collections
import datetime
import hashlib
import hmac
import http.client
import http.server
import json
import logging
import math
import os
import pickle
import random
import re
import secrets
import signal
import socket
import socketserver
import ssl
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
import xml.etree.ElementTree
import zipfile
from concurrent.futures import ThreadPoolExecutor

import torch

log = logging.getLogger("nerve.checkpoint")
_wrong = (ValueError, LookupError, TypeError, AttributeError, RuntimeError)  # What reading a wrong structure raises.
Done = collections.namedtuple("Done", "step at key seconds")  # a complete checkpoint; `at`: when its state was taken


class Torn(Exception):
    """A checkpoint that is not what was written, and why."""


class Unreadable(Exception):
    """A checkpoint that is what was written, and must not or cannot be resumed from."""


class S3Error(Exception):
    def __init__(self, status, text):
        super().__init__(f"S3 answered {status}: {text}")
        self.status = status


def _settings(env):
    """What the environment says. @raises ValueError with every fault at once."""
    faults, found = [], {}

    def number(name, default, least, kind=float):
        text = env.get("NERVE_CHECKPOINT_" + name, "")
        try:
            value = kind(text) if text else default
            if value is not None and not (least <= value < math.inf):
                raise ValueError
            found[name] = value
        except ValueError:
            faults.append(f"NERVE_CHECKPOINT_{name} is {text!r}: give a number from {least}")

    for given in (
        ("PORT", 8080, 0, int),
        ("PART_BYTES", 32 << 20, 1024, int),
        ("DEADLINE_SECONDS", 90, 0),
        ("HOLD_SECONDS", 30, 0),
        ("MTBF_SECONDS", 14400, 1),
        ("INTERVAL_SECONDS", None, 0.001),
        ("INTERVAL_STEPS", None, 1, int),
    ):
        number(*given)
    found["URL"] = re.fullmatch(
        r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/([\w.=-]+(?:/[\w.=-]+)*)/?", env.get("NERVE_CHECKPOINT_URL", ""), re.A
    )
    if not found["URL"]:
        faults.append(
            f"NERVE_CHECKPOINT_URL is {env.get('NERVE_CHECKPOINT_URL')!r}: "
            "give s3://BUCKET/PREFIX of letters, digits and . _ = -"
        )
    if env.get("WORLD_SIZE", "1") != "1":
        faults.append(f"WORLD_SIZE is {env['WORLD_SIZE']}: this saves one process, use torch.distributed.checkpoint")
    if faults:
        raise ValueError("; ".join(faults))
    return found


class _Bucket:
    """The few calls of S3 that are needed, signed by AWS Signature Version 4, with retries; path style, no proxies."""

    def __init__(self, bucket, prefix, env):
        self._env, self._prefix, self._kept = env, prefix, None
        self._region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or "us-east-1"
        url = (
            env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL") or f"https://s3.{self._region}.amazonaws.com"
        )
        self._url = urllib.parse.urlsplit(url)
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise ValueError(f"the S3 endpoint is {url!r}: give http(s)://HOST[:PORT]")
        self._root = f"{self._url.path.rstrip('/')}/{bucket}"
        self._tls = (
            ssl.create_default_context(cafile=env.get("AWS_CA_BUNDLE") or None) if self._url.scheme == "https" else None
        )

    def get(self, name):
        return self._call("GET", f"{self._prefix}/{name}")

    def put(self, name, body):
        """@returns the SHA-256 of the body"""
        digest = hashlib.sha256(body).hexdigest()
        self._call("PUT", f"{self._prefix}/{name}", body=body, digest=digest)
        return digest

    def delete(self, name):
        self._call("DELETE", f"{self._prefix}/{name}")

    def names(self):
        """Names below the prefix."""
        names, more = [], {}
        while True:
            page = xml.etree.ElementTree.fromstring(
                self._call("GET", query={"list-type": "2", "prefix": self._prefix + "/", **more})
            )
            names += [key.text[len(self._prefix) + 1 :] for key in page.iterfind("{*}Contents/{*}Key")]
            if page.findtext("{*}IsTruncated") != "true":
                return names
            more = {"continuation-token": page.findtext("{*}NextContinuationToken")}

    def _keys(self):
        """(id, secret, session token or None)"""
        env = self._env
        if env.get("AWS_ACCESS_KEY_ID"):
            return env["AWS_ACCESS_KEY_ID"], env.get("AWS_SECRET_ACCESS_KEY", ""), env.get("AWS_SESSION_TOKEN")
        if env.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
            if self._kept is None or self._kept[1] < time.time():
                request = urllib.request.Request(env["AWS_CONTAINER_CREDENTIALS_FULL_URI"])
                if env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):  # Kubernetes renews the file.
                    with open(env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"], encoding="utf-8") as file:
                        request.add_header("Authorization", file.read().strip())
                with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5) as answer:
                    found = json.load(answer)
                self._kept = (
                    found["AccessKeyId"],
                    found["SecretAccessKey"],
                    found.get("Token"),
                ), time.time() + 240  # AWS renews 5 min early.
            return self._kept[0]
        try:
            import boto3
        except ImportError:
            raise ValueError(
                "no S3 credentials: set AWS_ACCESS_KEY_ID, use EKS Pod Identity, or install boto3"
            ) from None
        self._session = getattr(self, "_session", None) or boto3.Session()
        found = self._session.get_credentials()
        if found is None:
            raise ValueError("no S3 credentials: boto3 finds none either")
        return tuple(found.get_frozen_credentials())[:3]

    def _headers(self, method, path, query, digest):
        key, secret, token = self._keys()
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        headers = {"host": self._url.netloc.rpartition("@")[2], "x-amz-content-sha256": digest, "x-amz-date": now}
        if token:
            headers["x-amz-security-token"] = token
        signed, scope = ";".join(sorted(headers)), f"{now[:8]}/{self._region}/s3/aws4_request"
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        canonical = "\n".join((method, path, query, lines, signed, digest)).encode()
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical).hexdigest()}"
        sign = ("AWS4" + secret).encode()
        for word in (*scope.split("/"), text):
            sign = hmac.new(sign, word.encode(), hashlib.sha256).digest()
        credential = f"Credential={key}/{scope}, SignedHeaders={signed}, Signature={sign.hex()}"
        return {**headers, "Authorization": f"AWS4-HMAC-SHA256 {credential}"}

    def _call(self, method, key="", query=None, body=b"", digest=hashlib.sha256().hexdigest(), tries=4):
        path = urllib.parse.quote(f"{self._root}/{key}" if key else self._root, safe="/-_.~")
        text = "&".join(
            f"{name}={urllib.parse.quote(value, safe='-_.~')}" for name, value in sorted((query or {}).items())
        )
        for left in reversed(range(tries)):
            try:
                if self._tls:
                    link = http.client.HTTPSConnection(
                        self._url.hostname, self._url.port, timeout=30, context=self._tls
                    )
                else:
                    link = http.client.HTTPConnection(self._url.hostname, self._url.port, timeout=30)
                try:
                    link.request(
                        method, f"{path}?{text}" if text else path, body, self._headers(method, path, text, digest)
                    )
                    answer = link.getresponse()
                    content = answer.read()
                finally:
                    link.close()
                if answer.status < 300:
                    return content
                if left == 0 or (answer.status < 500 and answer.status != 429):
                    raise S3Error(answer.status, f"{method} {path}: {content[:300].decode(errors='replace')}")
            except (OSError, http.client.HTTPException):
                if left == 0:
                    raise
            time.sleep(
                random.SystemRandom().uniform(0.1, 0.3) * 2 ** (tries - left)
            )  # The training's own randomness stays untouched.


class _Parts:
    """What torch.save writes into: pieces in memory that are never joined."""

    def __init__(self, size):
        self.done, self._size, self._open = [], size, bytearray()

    def write(self, data):
        view = memoryview(data).cast("B")
        for at in range(0, len(view), self._size):
            self._open += view[at : at + self._size]
            if len(self._open) >= self._size:
                self.flush()
        return len(view)

    def flush(self):
        if self._open:
            self.done.append(self._open)
            self._open = bytearray()


_kinds = {"tuple": tuple, "dict": dict, "ordered": collections.OrderedDict, "counter": collections.Counter}


def _pack(value, tensors, path):
    """The value as JSON, its tensors put into the list. (Torch 1.13 reads no number with a point by weights_only.)

    @raises TypeError that says where something else is than numbers, text, tensors, lists, tuples and dicts
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (torch.Tensor, torch.nn.Parameter):
        tensors.append(value.detach())
        return {"tensor": len(tensors) - 1}
    if type(value) is list:
        return [_pack(item, tensors, f"{path}[{index}]") for index, item in enumerate(value)]
    if type(value) in (tuple, torch.Size):
        return {"tuple": _pack(list(value), tensors, path)}
    if isinstance(value, dict):
        pairs = [
            [_pack(name, tensors, path), _pack(item, tensors, f"{path}[{name!r}]")] for name, item in value.items()
        ]
        kind = next((kind for kind in ("counter", "ordered") if isinstance(value, _kinds[kind])), "dict")
        metadata = getattr(value, "_metadata", None)  # Versions, in the state of a module.
        return {kind: pairs} if metadata is None else {kind: pairs, "metadata": _pack(metadata, tensors, path)}
    if getattr(value, "shape", None) == () and hasattr(value, "item"):  # A scalar of numpy.
        return _pack(value.item(), tensors, path)
    raise TypeError(
        f"{path} is a {type(value).__qualname__}: give numbers, text, tensors, lists, tuples and dicts only"
    )


def _unpack(packed, tensors):
    if isinstance(packed, list):
        return [_unpack(item, tensors) for item in packed]
    if not isinstance(packed, dict):
        return packed
    kind = next(iter(packed), "dict")
    if kind == "tensor":
        return tensors[packed[kind]]
    if kind == "tuple":
        return tuple(_unpack(packed[kind], tensors))
    value = _kinds[kind]({_unpack(name, tensors): _unpack(item, tensors) for name, item in packed[kind]})
    if "metadata" in packed:
        value._metadata = _unpack(packed["metadata"], tensors)
    return value


def _randomness():
    state = {"python": random.getstate(), "torch": torch.get_rng_state()}
    if "numpy" in sys.modules:
        kind, keys, *rest = sys.modules["numpy"].random.get_state()
        state["numpy"] = (kind, keys.tolist(), *rest)
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def _restore_randomness(state):
    random.setstate(state["python"])
    torch.set_rng_state(state["torch"])
    if "numpy" in state and "numpy" in sys.modules:
        sys.modules["numpy"].random.set_state(state["numpy"])
    if "cuda" in state and torch.cuda.is_available() and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])


class ResumableSampler:
    """Shuffles, and knows its place: tell it by `advance(n)` what the training consumed, since loaders read ahead.

    Give the DataLoader a `generator` of its own, else making an iterator draws from torch's; leave `drop_last` off.
    """

    def __init__(self, length, seed=0):
        self._length, self._seed, self._epoch, self._at = length, seed, 0, 0

    def __len__(self):
        return self._length - self._at

    def __iter__(self):
        generator = torch.Generator().manual_seed(self._seed + self._epoch)
        return iter(torch.randperm(self._length, generator=generator)[self._at :].tolist())

    def advance(self, count):
        self._at += count
        if self._at >= self._length:
            self._epoch, self._at = self._epoch + 1, 0

    def state_dict(self):
        return {"epoch": self._epoch, "at": self._at, "length": self._length, "seed": self._seed}

    def load_state_dict(self, state):
        if state["length"] != self._length:
            raise ValueError(f"the data has {self._length} samples, the checkpoint was made with {state['length']}")
        self._seed, self._epoch, self._at = state["seed"], state["epoch"], state["at"]


class Checkpoint:
    """Saves and resumes what is registered by name; see the top of the file. Use it as a context manager."""

    def __init__(self, *, env=None, **registered):
        env = dict(os.environ if env is None else env)
        self._set = _settings(env)
        for name, part in registered.items():
            if not (hasattr(part, "state_dict") and hasattr(part, "load_state_dict")):
                raise TypeError(f"{name} has no state_dict and load_state_dict")
        self._registered = registered
        self._bucket = _Bucket(*self._set["URL"].groups(), env)
        self._token = env.get("NERVE_CHECKPOINT_TOKEN", "")
        self._host = env.get("NERVE_CHECKPOINT_HOST") or "127.0.0.1"
        self.steps = 0
        """Steps done, those before the resume included."""
        self._changed = threading.Condition()
        self._writer = None  # The thread of the write under way.
        self._newest = None  # The newest complete checkpoint: Done.
        self._passed = {}  # Keys that were passed over, and why.
        # Numbers of the last request: heard, in a complete checkpoint, in a write that failed.
        self._asked = self._covered = self._failed = 0
        self._retry_at = self._failures = 0
        self._stopping = self._closed = False

    def __enter__(self):
        self._resume()
        self._server = _Server(self._host, self._set["PORT"], self, self._token)
        self._old_handler = None
        if threading.current_thread() is threading.main_thread():
            self._old_handler = signal.signal(signal.SIGTERM, self._on_sigterm)
        threading.Thread(target=self._server.serve_forever, name="nerve-http", daemon=True).start()
        log.info("listening on %s:%d", *self._server.server_address[:2])
        return self

    def __exit__(self, kind, error, trace):
        try:
            if kind is None:  # A container that starts again after its end has nothing left to do.
                self._save()
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()
            self._server.shutdown()
            self._server.server_close()
            if self._old_handler is not None:
                signal.signal(signal.SIGTERM, self._old_handler)

    def _on_sigterm(self, _signal, _frame):
        self._stopping = True  # No lock here: the loop may hold it.

    def step(self):
        """The boundary of a step. @raises SystemExit 143 after SIGTERM, when everything up to this step is saved"""
        self.steps += 1
        asked = self._asked > max(self._covered, self._failed)
        if asked or self._stopping:
            self._save()
        elif self._due(1 / 2):
            self._begin()
        if self._due(1):
            self._join()
        if asked and self._newest is not None and self._newest.step == self.steps:
            until = time.monotonic() + self._set["HOLD_SECONDS"]
            while not self._stopping and time.monotonic() < until:
                with self._changed:
                    self._covered = self._asked  # Whoever asks meanwhile has it already.
                    self._changed.notify_all()
                    self._changed.wait(0.05)
        if self._stopping:
            self._save()
            raise SystemExit(143)  # Never 0: a Job would count as complete.

    def _due(self, share):
        """Whether this share of the interval stands unsaved: at half a save begins, at the whole the loop waits.

        In seconds it begins later than at half: twice the last write before the whole.
        """
        now = time.monotonic()
        if now < self._retry_at and not (self._writer and self._writer.is_alive()):
            return False
        if self._newest is None:  # The first at once: it times a write, and shows early whether there is one.
            return True
        by_steps, seconds = self._set["INTERVAL_STEPS"], self._set["INTERVAL_SECONDS"]
        if seconds is None and by_steps is None:
            seconds = max(1.0, math.sqrt(2 * self._newest.seconds * self._set["MTBF_SECONDS"]))
        if seconds is not None:
            early = max(seconds * share, seconds - 2 * self._newest.seconds) if share < 1 else seconds
            if now - self._newest.at >= early:
                return True
        return by_steps is not None and self.steps - self._newest.step >= by_steps * share

    def _join(self):
        if self._writer is not None:
            self._writer.join()
            self._writer = None

    def _save(self):
        """Saves this step and waits until it is complete or has failed."""
        self._join()
        if self._newest is None or self._newest.step != self.steps:
            self._begin()
            self._join()

    def _begin(self):
        """Copies the state and lets it be written while the training goes on; does nothing while one is written."""
        if self._writer is not None:
            if self._writer.is_alive():
                return
            self._join()
        if self._newest is not None and self._newest.step == self.steps:
            return
        at, asked, parts, tensors = time.monotonic(), self._asked, _Parts(self._set["PART_BYTES"]), []
        states = {name: _pack(part.state_dict(), tensors, name) for name, part in self._registered.items()}
        state = {"step": self.steps, "states": states, "randomness": _pack(_randomness(), tensors, "randomness")}
        torch.save({"state": json.dumps(state), "tensors": tensors}, parts)
        parts.flush()
        self._writer = threading.Thread(
            target=self._write, args=(self.steps, at, asked, parts.done), name="nerve-write", daemon=True
        )
        self._writer.start()

    def _write(self, step, at, asked, parts):
        key = f"{step:012d}-{secrets.token_hex(4)}"
        try:
            names = [f"part-{index:05d}" for index in range(len(parts))]
            with ThreadPoolExecutor(4) as pool:
                digests = list(pool.map(lambda name, part: self._bucket.put(f"{key}/{name}", part), names, parts))
            listed = [{"name": n, "bytes": len(p), "sha256": d} for n, p, d in zip(names, parts, digests)]
            seconds = time.monotonic() - at
            manifest = {"format": 1, "step": step, "seconds": seconds, "written": time.time(), "parts": listed}
            self._bucket.put(f"{key}/manifest.json", json.dumps(manifest).encode())
        except Exception as error:  # The training matters more than its checkpoint.
            with self._changed:
                self._failures += 1
                self._retry_at = time.monotonic() + min(60, 2**self._failures)
                self._failed = asked
                self._changed.notify_all()
            log.error("step %d could not be saved, the training goes on: %s", step, error)
            return
        with self._changed:
            self._newest, self._covered, self._failures = Done(step, at, key, seconds), asked, 0
            self._changed.notify_all()
        log.info("saved step %d as %s in %.2f s", step, key, seconds)
        try:
            self._prune()
        except Exception as error:
            log.warning("old checkpoints could not be removed: %s", error)

    def _stored(self):
        """Names of objects by checkpoint, the newest first."""
        found = collections.defaultdict(list)
        for name in self._bucket.names():
            if re.fullmatch(r"\d{12}-[0-9a-f]{8}/[\w.-]+", name):
                found[name.split("/")[0]].append(name)
        return sorted(found.items(), reverse=True)

    def _prune(self):
        """Keeps the newest two complete ones, and what is newer: another process may be writing that."""
        kept = []
        for key, names in self._stored():
            why = self._passed.get(key)
            if isinstance(why, Unreadable):
                continue  # Perhaps a newer version's: not ours to remove.
            if why is None and f"{key}/manifest.json" in names and len(kept) < 2:
                kept.append(key)
            elif why is not None or (kept and key < kept[0]):
                for name in sorted(names):  # "manifest.json" sorts before its parts.
                    self._bucket.delete(name)

    def _resume(self):
        passed = self._passed
        for key, names in self._stored():
            if f"{key}/manifest.json" not in names:
                continue
            try:
                step, states, randomness, seconds = self._read(key)
            except (Torn, Unreadable) as why:
                passed[key] = why
                log.warning("passed over %s: %s", key, why)
                continue
            if set(states) != set(self._registered):
                raise ValueError(
                    f"{key} holds {sorted(states)}, registered are {sorted(self._registered)}: "
                    "register the same, or give another prefix"
                )
            for name, part in self._registered.items():
                part.load_state_dict(states[name])
            _restore_randomness(randomness)
            self.steps = step
            self._newest = Done(self.steps, time.monotonic(), key, seconds)
            log.info("resumed at step %d from %s", self.steps, key)
            return
        for key, why in passed.items():
            if isinstance(why, Unreadable):  # The same would happen at each start, and all work be done again.
                raise ValueError(
                    f"no checkpoint can be read, the newest is {key}: {why}. Give another prefix to begin anew"
                )
        log.info("nothing to resume from: begins at step 0")

    def _read(self, key):
        """(step, states by name, randomness, seconds that its write took). @raises Torn, Unreadable"""
        with tempfile.TemporaryFile() as file:
            try:
                manifest = json.loads(self._bucket.get(f"{key}/manifest.json"))
                if manifest["format"] != 1:
                    raise Unreadable(f"format {manifest['format']} is not known")
                for part in manifest["parts"]:
                    content = self._bucket.get(f"{key}/{part['name']}")
                    if len(content) != part["bytes"] or hashlib.sha256(content).hexdigest() != part["sha256"]:
                        raise Torn(f"{part['name']} is not what the manifest says")
                    file.write(content)
                seconds = float(manifest["seconds"])
            except _wrong as error:
                raise Torn(f"its manifest cannot be read: {error!r}") from None
            except S3Error as error:
                if error.status != 404:
                    raise  # Not known to be torn: to begin anew would throw work away.
                raise Torn("a part is missing") from None
            try:
                file.seek(0)
                # torch reads two other formats, tar and TorchScript, with less care (CVE-2025-32434).
                if any(name.endswith("constants.pkl") for name in zipfile.ZipFile(file).namelist()):
                    raise Unreadable("it is a program of TorchScript")
                file.seek(0)
                content = torch.load(file, map_location="cpu", weights_only=True)
                state, tensors = json.loads(content["state"]), content["tensors"]
                states = {name: _unpack(packed, tensors) for name, packed in state["states"].items()}
                return int(state["step"]), states, _unpack(state["randomness"], tensors), seconds
            except (zipfile.BadZipFile, pickle.UnpicklingError) + _wrong as error:
                raise Unreadable(f"torch does not read it: {str(error)[:200]}") from None

    def answer(self, deadline):
        """(HTTP status, body) for a request to save; waits for its checkpoint, at most `deadline` seconds."""
        until = time.monotonic() + deadline
        with self._changed:
            self._asked += 1
            mine = self._asked
            log.info("asked to save, within %.1f s", deadline)
            while self._covered < mine and self._failed < mine and not self._closed:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            newest, saved = self._newest, self._covered >= mine
        if newest is None:
            return 503, {"saved": False, "reason": "no checkpoint is complete yet"}
        return 200, {"saved": saved, "step": newest.step, "checkpoint": newest.key, "seconds": round(newest.seconds, 3)}


class _Server(socketserver.ThreadingTCPServer):
    """At most eight callers at a time; more are hung up on."""

    daemon_threads = allow_reuse_address = True

    def __init__(self, host, port, checkpoint, token):
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.checkpoint, self.token = checkpoint, token
        self._slots = threading.BoundedSemaphore(8)
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise OSError(f"NERVE_CHECKPOINT_HOST and _PORT, {host} {port}, cannot be listened on: {error}") from None

    def process_request(self, request, client_address):
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()


class _Handler(http.server.BaseHTTPRequestHandler):
    timeout = 5
    server_version, sys_version = "nerve-checkpoint", ""

    def do_POST(self):
        status, body = self._handle()
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _handle(self):
        given = self.headers.get("Authorization", "").encode("latin-1", "replace")
        if self.server.token and not hmac.compare_digest(given, f"Bearer {self.server.token}".encode()):
            return 401, {"reason": "wrong or no token: send Authorization: Bearer TOKEN"}
        if self.path != "/checkpoint":
            return 404, {"reason": "only /checkpoint is here"}
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > 1024:
            return 413, {"reason": "the body may have 1024 bytes and needs its Content-Length"}
        most = self.server.checkpoint._set["DEADLINE_SECONDS"]
        try:
            body = json.loads(self.rfile.read(int(length)) or b"{}")
            deadline = float(body.get("deadlineSeconds", most))
            if not 0 <= deadline <= 3600:
                raise ValueError
        except (ValueError, TypeError, AttributeError, RecursionError):
            return 400, {"reason": 'the body may be empty or {"deadlineSeconds": 0 to 3600}'}
        return self.server.checkpoint.answer(deadline)

    def log_message(self, form, *given):
        log.debug(form, *given)
