"""A real Kubernetes control plane on 127.0.0.1, for as long as a test session lasts.

etcd, API server, scheduler and the controllers of Deployments are the real programs (build.sh makes them). There is no
node: `add_node` enters one, and kubelet.py answers what `kubectl logs` asks of it. What a kubelet would report of a pod
is written into its status.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

VERSION = "1.20.2"
PROGRAMS = ("etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager")
_TOKEN = "only-for-tests"
_READY_S = 60


class Answer(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


def folder() -> Path:
    """Where build.sh puts the programs."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("QVL_DOCTOR_KUBE") or Path(cache) / "qvl-doctor-kube") / VERSION


def missing() -> str:
    """Why no control plane can be started here; empty if one can."""
    lacking = [name for name in PROGRAMS if not (folder() / name).exists()]
    if lacking:
        return f"no {', '.join(lacking)} in {folder()}: tests/kube/build.sh builds them"
    tools = [name for name in ("kubectl", "openssl") if not shutil.which(name)]
    return f"no {' and no '.join(tools)} on this machine" if tools else ""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class ControlPlane:
    """The running programs, and `kubectl` against them."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.kubeconfig = scratch / "kubeconfig"
        self.certificate, self.key = scratch / "certs/apiserver.crt", scratch / "certs/apiserver.key"
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Raises RuntimeError, with the end of the server's log, if it does not become ready."""
        certs = self.scratch / "certs"
        certs.mkdir(parents=True)
        subprocess.run(["openssl", "genrsa", "-out", str(certs / "sa.key"), "2048"], check=True, capture_output=True)
        (certs / "tokens.csv").write_text(f"{_TOKEN},admin,1,system:masters\n")
        etcd, peer, port = (free_port() for _ in range(3))
        store = f"http://127.0.0.1:{etcd}"
        self._run(
            "etcd",
            f"--data-dir={self.scratch / 'etcd'}",
            f"--listen-client-urls={store}",
            f"--advertise-client-urls={store}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync=true",
        )
        self._run(
            "kube-apiserver",
            f"--etcd-servers={store}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={certs}",
            f"--token-auth-file={certs / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={certs / 'sa.key'}",
            f"--service-account-signing-key-file={certs / 'sa.key'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
            "--endpoint-reconciler-type=none",
            "--kubelet-preferred-address-types=InternalIP",
            "--allow-privileged=true",
        )
        self.kubeconfig.write_text(_kubeconfig(port))
        self._wait(port)
        common = (f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", "--bind-address=127.0.0.1", "--port=0")
        controllers = "--controllers=deployment,replicaset,garbagecollector,namespace,resourcequota"
        self._run(
            "kube-controller-manager",
            *common,
            f"--secure-port={free_port()}",
            f"--cert-dir={certs / 'manager'}",
            controllers,
        )
        self._run("kube-scheduler", *common, f"--secure-port={free_port()}", f"--cert-dir={certs / 'scheduler'}")

    def stop(self) -> None:
        for process in reversed(self._running):
            process.terminate()
        for process in self._running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def kubectl(self, *arguments: str, stdin: str = "") -> Answer:
        command = ["kubectl", f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)
        return Answer(done.returncode, done.stdout, done.stderr)

    def must(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl printed. Raises AssertionError if it failed."""
        answer = self.kubectl(*arguments, stdin=stdin)
        assert answer.code == 0, f"kubectl {' '.join(arguments)}: {answer.err}"
        return answer.out

    def apply(self, *objects: Mapping[str, Any]) -> None:
        self.must("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def apply_new(self, item: Mapping[str, Any]) -> None:
        """Creates an object; for events, which nobody applies twice."""
        self.must("create", "-f", "-", stdin=json.dumps(item))

    def add_node(
        self, name: str, kubelet_port: int = 10250, *, gpus: int = 0, memory: str = "128Gi", taint: str = ""
    ) -> None:
        """A node that is ready. `taint` is a key that nothing tolerates."""
        taints = [{"key": taint, "effect": "NoSchedule"}] if taint else []
        self.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"taints": taints}})
        room = {"cpu": "32", "memory": memory, "pods": "110"} | ({"nvidia.com/gpu": str(gpus)} if gpus else {})
        status = {
            "capacity": room,
            "allocatable": room,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
        }
        self.patch_status("node", name, status)

    def patch_status(self, kind: str, name: str, status: Mapping[str, Any], namespace: str = "default") -> None:
        self.must(
            "-n",
            namespace,
            "patch",
            kind,
            name,
            "--subresource=status",
            "--type=merge",
            "-p",
            json.dumps({"status": status}),
        )

    def wait_for(self, *arguments: str, said: str, seconds: float = 30) -> str:
        """What kubectl prints as soon as it holds `said`."""
        end = time.monotonic() + seconds
        while True:
            answer = self.kubectl(*arguments)
            if said in answer.out:
                return answer.out
            assert time.monotonic() < end, (
                f"kubectl {' '.join(arguments)} never said {said!r}: {answer.out}{answer.err}"
            )
            time.sleep(0.2)

    def _run(self, name: str, *arguments: str) -> None:
        with (self.scratch / f"{name}.log").open("wb") as log:
            self._running.append(
                subprocess.Popen([str(folder() / name), *arguments], stdout=log, stderr=log, cwd=self.scratch)
            )

    def _wait(self, port: int) -> None:
        import ssl

        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        request = urllib.request.Request(
            f"https://127.0.0.1:{port}/readyz", headers={"Authorization": f"Bearer {_TOKEN}"}
        )
        end = time.monotonic() + _READY_S
        while time.monotonic() < end and all(process.poll() is None for process in self._running):
            try:
                with urllib.request.urlopen(request, timeout=5, context=context):  # noqa: S310
                    return
            except OSError:
                time.sleep(0.2)
        raise RuntimeError((self.scratch / "kube-apiserver.log").read_text(errors="replace")[-3000:])


def _kubeconfig(port: int) -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "local",
            "clusters": [
                {"name": "local", "cluster": {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}},
                {"name": "stopped", "cluster": {"server": "https://127.0.0.1:9", "insecure-skip-tls-verify": True}},
            ],
            "users": [{"name": "admin", "user": {"token": _TOKEN}}, {"name": "stranger", "user": {"token": "unknown"}}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": "admin"}}],
        }
    )
