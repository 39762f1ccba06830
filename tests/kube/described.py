"""A pod as kubectl describes it."""

from __future__ import annotations

NINE = 1771232400.0  # 2026-02-16T09:00:00Z


DESCRIBED = """\
Name:             a
Namespace:        s
Node:             n/10.0.0.1
Start Time:       Mon, 16 Feb 2026 09:00:00 +0000
Status:           {status}
Reason:           Evicted
Message:          too full
Controlled By:    ReplicaSet/r
{grace}Init Containers:
  i:
    Image:          busybox
    State:          Waiting
      Reason:       PodInitializing
    Ready:          False
    Restart Count:  0
Containers:
  c:
    Image:         vllm/vllm-openai
    Command:
      vllm
      serve
    Args:
      m
    State:          Waiting
      Reason:       CrashLoopBackOff
    Last State:     Terminated
      Reason:       Error
      Message:      first
        second
      third: more
      Exit Code:    {code}
      Signal:       9
      Started:      Mon, 16 Feb 2026 09:00:00 +0000
      Finished:     Mon, 16 Feb 2026 09:01:00 +0000
    Ready:          True
    Restart Count:  {restarts}
    Limits:
      memory:          24Gi
      nvidia.com/gpu:  1
    Liveness:       http-get http://:8000/health delay=5s timeout=1s period=6s #success=1 #failure=7
    Startup:        http-get http://:8000/health delay=1s timeout=1s period=2s #success=1 #failure=3
Events:
  Type     Reason   Age               From     Message
  ----     ------   ---               ----     -------
  Warning  BackOff  5m (x12 over 1h)  kubelet  Back-off
  Normal   Pulled   7m                kubelet  Pulled it
QoS Class:  Burstable
  Warning  Other    5m                kubelet  not an event
"""
