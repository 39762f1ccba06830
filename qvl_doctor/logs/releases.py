"""Which release wrote a log that does not say so: from the lines of its call sites and from wordings that came and went.

A release moves its log calls, so `core.py:1108` beside "EngineCore failed to start" is 0.19 and nothing else. A build
from between two releases has lines of its own: one that fits no release makes all of them worthless, and only wordings
count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from qvl_doctor.model import Record

_READ = """
0.6.0 0.6.1 0.6.2 0.6.3 0.6.4 0.6.5 0.6.6 0.7.0 0.7.1 0.7.2 0.7.3 0.8.0 0.8.1 0.8.2 0.8.3 0.8.4 0.8.5 0.9.0 0.9.1 0.9.2
0.10.0 0.10.1 0.10.2 0.11.0 0.11.1 0.11.2 0.12.0 0.13.0 0.14.0 0.14.1 0.15.0 0.15.1 0.16.0 0.17.0 0.17.1 0.18.0 0.18.1
0.19.0 0.19.1 0.20.0 0.20.1 0.20.2 0.21.0 0.22.0 0.22.1 0.23.0 0.24.0 0.25.0 0.25.1 0.26.0 0.27.0 0.27.1 0.28.0 0.29.0
0.30.0 0.31.0 0.32.0 0.33.0
"""
#: The releases that are told apart. Post releases, 0.9.0.1 and 0.10.1.1 have the lines of the release that they mend.
RELEASES = tuple(_READ.split())
#: Published without their sources: their lines are those of 0.14 or 0.16, or not known.
_UNREAD = frozenset(("0.15.0", "0.15.1"))

#: File and what a message from there holds (one of several, divided by "|"), then `release:line` for each release in
#: which the call moved (`-`: it is gone). Printed by tools/call_sites.py from vLLM's source distributions, November
#: 2026.
_SITES = """
__init__.py | Automatically detected platform
  0.7.0:183 0.7.2:190 0.7.3:207 0.8.0:256 0.8.2:239 0.9.0:243 0.9.1:244 0.10.0:235 0.10.1:241 0.10.2:216 0.11.1:225 0.16.0:220
  0.18.0:247 0.20.0:246 0.24.0:245 0.28.0:262 0.29.0:280 0.31.0:287 0.33.0:286
config.py | This model supports multiple tasks
  0.6.4:350 0.6.5:478 0.6.6:510 0.7.0:520 0.7.1:526 0.7.2:542 0.7.3:549 0.8.0:583 0.8.2:585 0.8.3:600 0.8.4:689 0.8.5:717 0.9.0:793
  0.9.1:823 0.9.2:841 0.10.0:-
config.py | Casting torch.
  0.6.0:1651 0.6.1:1657 0.6.2:1656 0.6.3:1668 0.6.4:1865 0.6.5:2171 0.6.6:2276 0.7.0:2318 0.7.1:2368 0.7.2:2386 0.7.3:2448 0.8.0:2599
  0.8.2:2614 0.8.3:2704 0.8.4:2836 0.8.5:2972 0.9.0:3135 0.9.1:3271 0.9.2:3371 0.10.0:3443 0.10.1:-
model.py | Using max model len
  0.11.0:1510 0.11.1:1745 0.12.0:1750 0.13.0:1661 0.14.0:1545 0.16.0:1549 0.17.0:1554 0.18.0:1582 0.19.0:1678 0.20.0:1680 0.21.0:1697
  0.22.0:1752 0.23.0:1745 0.24.0:1725 0.25.0:1776 0.26.0:1788 0.27.0:1883 0.28.0:1965 0.29.0:2021 0.30.0:2030 0.31.0:2109 0.32.0:2152
  0.33.0:2170
api_server.py | Started engine process with PID
  0.6.0:176 0.6.1:178 0.6.2:177 0.6.3:179 0.6.4:194 0.6.5:199 0.7.0:203 0.7.1:204 0.7.2:206 0.7.3:209 0.8.0:241 0.8.3:246 0.9.0:257
  0.9.1:265 0.9.2:268 0.10.1:295 0.10.2:296 0.11.0:-
api_server.py | Starting vLLM API server
  0.7.3:958 0.8.0:1024 0.8.2:1028 0.8.3:1081 0.8.5:1090 0.9.0:1336 0.9.1:1349 0.9.2:1457 0.10.0:1818 0.10.1:1880 0.10.2:1971 0.11.0:1912
  0.11.1:2052 0.12.0:1847 0.13.0:1425 0.14.0:1346 0.16.0:486 0.17.0:500 0.18.0:-
parallel_state.py | in world size
  0.8.0:967 0.8.2:954 0.8.3:957 0.8.4:959 0.8.5:1004 0.9.0:1064 0.9.1:1065 0.9.2:1076 0.10.0:1102 0.10.1:1134 0.10.2:1165 0.11.0:1208
  0.11.1:1394 0.12.0:1408 0.13.0:1411 0.14.0:1425 0.16.0:1445 0.17.0:1715 0.18.0:1717 0.19.0:1716 0.20.0:1715 0.21.0:1723 0.22.0:1735
  0.23.0:1903 0.24.0:1923 0.25.0:1942 0.26.0:1946 0.27.0:1977 0.28.0:1982 0.29.0:2119 0.30.0:2267 0.31.0:2269 0.32.0:2350 0.33.0:2385
model_runner.py | Starting to load model
  0.6.0:915 0.6.1:997 0.6.2:1014 0.6.3:1056 0.6.4:1072 0.6.5:1092 0.6.6:1094 0.7.0:1110 0.7.1:1111 0.7.2:1110 0.8.5:1108 0.9.0:1170
  0.9.1:1171 0.10.0:1083 0.10.1:1080 0.10.2:1051 0.11.0:-
gpu_model_runner.py | Starting to load model
  0.6.4:529 0.6.5:575 0.6.6:587 0.7.0:843 0.7.2:867 0.7.3:1049 0.8.0:1128 0.8.1:1164 0.8.2:1174 0.8.3:1258 0.8.4:1276 0.8.5:1329
  0.9.0:1531 0.9.1:1595 0.9.2:1770 0.10.0:1843 0.10.1:1953 0.10.2:2338 0.11.0:2602 0.11.1:3255 0.11.2:3259 0.12.0:3467 0.13.0:3562
  0.14.0:3808 0.16.0:4124 0.17.0:4255 0.17.1:4281 0.18.0:4481 0.19.0:4735 0.20.0:4777 0.21.0:4857 0.22.0:5037 0.23.0:5092 0.24.0:5160
  0.25.0:5209 0.26.0:5250 0.27.0:5308 0.28.0:5419 0.29.0:5379 0.30.0:5317 0.31.0:5255 0.32.0:5039 0.33.0:4978
weight_utils.py | Using model weights format
  0.6.0:236 0.6.1:242 0.6.3:243 0.6.6:251 0.7.2:252 0.7.3:254 0.8.0:257 0.8.2:265 0.9.0:291 0.9.1:292 0.10.0:296 0.10.2:348 0.11.0:392
  0.11.1:420 0.12.0:466 0.14.0:486 0.16.0:515 0.17.0:537 0.18.0:550 0.19.0:557 0.20.0:591 0.21.0:595 0.22.0:579 0.24.0:506 0.28.0:497
  0.29.0:502 0.30.0:534 0.31.0:499 0.32.0:508 0.33.0:513
default_loader.py | Loading weights took
  0.9.0:280 0.9.1:272 0.10.0:262 0.10.2:268 0.11.0:267 0.11.1:314 0.12.0:308 0.14.0:291 0.16.0:293 0.18.0:384 0.21.0:397 0.24.0:430
  0.31.0:484 0.32.0:501 0.33.0:506
model_runner.py | Loading model weights took|Model loading took
  0.6.0:926 0.6.1:1008 0.6.2:1025 0.6.3:1067 0.6.4:1077 0.6.5:1097 0.6.6:1099 0.7.0:1115 0.7.1:1116 0.7.2:1115 0.8.0:1146 0.8.5:1140
  0.9.0:1202 0.9.1:1203 0.10.0:1115 0.10.1:1112 0.10.2:1083 0.11.0:- 0.12.0:172 0.13.0:170 0.14.0:187 0.16.0:205 0.17.0:257 0.18.0:289
  0.19.0:291 0.20.0:290 0.21.0:293 0.22.0:295 0.23.0:319 0.24.0:302 0.26.0:305 0.27.0:329 0.28.0:380 0.29.0:404 0.30.0:428 0.31.0:407
  0.32.0:424 0.33.0:428
gpu_model_runner.py | Loading model weights took|Model loading took
  0.6.4:534 0.6.5:580 0.6.6:592 0.7.0:848 0.7.2:872 0.7.3:1060 0.8.0:1140 0.8.1:1176 0.8.2:1186 0.8.3:1273 0.8.4:1291 0.8.5:1347
  0.9.0:1549 0.9.1:1624 0.9.2:1801 0.10.0:1892 0.10.1:2007 0.10.2:2392 0.11.0:2653 0.11.1:3334 0.11.2:3338 0.12.0:3549 0.13.0:3659
  0.14.0:3905 0.15.0:4118 0.15.1:4130 0.16.0:4221 0.17.0:4338 0.17.1:4364 0.18.0:4566 0.19.0:4820 0.20.0:4879 0.21.0:4959 0.22.0:5132
  0.23.0:5187 0.24.0:5255
  0.25.0:5306 0.26.0:5347 0.27.0:5405 0.28.0:5515 0.29.0:5471 0.30.0:5416 0.31.0:5354 0.32.0:5149 0.33.0:5088
profiling.py | is too short to hold the multi-modal
  0.7.0:184 0.7.2:187 0.7.3:192 0.8.0:222 0.8.3:232 0.8.4:217/245 0.9.0:222/247 0.9.1:207/232 0.9.2:212/237 0.10.1:215/240 0.11.0:215
  0.11.1:-
backends.py | Using cache directory
  0.7.0:577 0.7.2:579 0.7.3:408 0.8.0:409 0.8.2:415 0.8.3:416 0.8.5:420 0.9.0:459 0.9.1:462 0.9.2:508 0.10.0:530 0.10.1:548 0.10.2:539
  0.11.0:548 0.11.1:631 0.12.0:655 0.13.0:643 0.14.0:644 0.16.0:916 0.18.0:988 0.19.0:1051 0.20.0:1069 0.21.0:1089 0.26.0:1094
  0.31.0:1090 0.32.0:1104 0.33.0:1125
worker.py | Memory profiling takes
  0.6.5:241 0.7.0:266 0.7.2:267 0.8.5:287 0.9.0:291 0.9.1:294 0.10.0:295 0.10.2:253/290/467 0.11.0:-
gpu_worker.py | Available KV cache memory
  0.9.1:227 0.9.2:232 0.10.0:255 0.10.1:276 0.10.2:298 0.11.1:359 0.13.0:375 0.14.0:358 0.16.0:373 0.17.0:424 0.18.0:456 0.19.0:436
  0.20.0:440 0.21.0:462 0.22.0:466 0.23.0:480 0.24.0:508 0.25.0:538 0.26.0:560 0.27.0:563 0.28.0:578 0.29.0:625 0.30.0:640 0.31.0:692
  0.32.0:759 0.33.0:772
executor_base.py | CPU blocks:
  0.7.0:108 0.7.2:110 0.7.3:111 0.8.3:112 0.9.1:113 0.10.1:114 0.11.0:116 0.11.1:-
executor_base.py | Maximum concurrency for
  0.7.0:113 0.7.2:115 0.7.3:116 0.8.3:117 0.9.1:118 0.10.1:119 0.11.0:121 0.11.1:-
kv_cache_utils.py | KV cache size:
  0.8.0:537 0.8.2:566 0.8.3:578 0.8.4:634 0.9.0:637 0.9.1:715/870 0.9.2:716/873 0.10.0:833/997 0.10.1:849/1013 0.10.2:864/1028
  0.11.0:1087 0.11.1:1229 0.12.0:1286 0.13.0:1291 0.14.0:1305 0.16.0:1307 0.17.0:1314 0.18.0:1316 0.19.0:1319 0.20.0:1711 0.20.1:1708
  0.21.0:1710 0.22.0:1733 0.23.0:1744 0.24.0:2146 0.26.0:2177 0.27.0:2235 0.28.0:1869 0.29.0:2032 0.30.0:2395 0.31.0:2464 0.32.0:2327
  0.33.0:1147
model_runner.py | Graph capturing finished in
  0.6.0:1335 0.6.1:1430 0.6.2:1456 0.6.3:1523 0.6.4:1518 0.6.5:1527 0.6.6:1535 0.7.0:1558 0.7.1:1563 0.7.2:1562 0.8.0:1570 0.8.3:1598
  0.8.5:1592 0.9.0:1670 0.9.1:1671 0.10.0:1537 0.10.1:1535 0.10.2:1507 0.11.0:- 0.12.0:365 0.13.0:363 0.14.0:377 0.16.0:409 0.17.0:520
  0.18.0:555 0.19.0:578 0.20.0:612 0.21.0:639 0.22.0:661 0.23.0:701 0.24.0:726 0.25.0:722 0.26.0:747 0.27.0:791 0.28.0:906 0.29.0:960
  0.30.0:1066 0.31.0:1087 0.32.0:1127 0.33.0:1163
gpu_model_runner.py | Graph capturing finished in
  0.6.4:595 0.6.5:705 0.6.6:743 0.7.0:1019 0.7.2:1043 0.7.3:1339 0.8.0:1436 0.8.1:1499 0.8.2:1534 0.8.3:1608 0.8.4:1626 0.8.5:1686
  0.9.0:1933 0.9.1:2048 0.9.2:2326 0.10.0:2485 0.10.1:2708 0.10.2:3118 0.11.0:3480 0.11.1:4240 0.11.2:4244 0.12.0:4466 0.13.0:4587
  0.14.0:4856 0.16.0:5246 0.17.0:5360 0.17.1:5386 0.18.0:5746 0.19.0:6046 0.20.0:6133 0.21.0:6243 0.22.0:6456 0.23.0:6585 0.24.0:6656
  0.25.0:6707 0.26.0:6844 0.27.0:6913 0.28.0:7048 0.29.0:7001 0.30.0:6929 0.31.0:6854 0.32.0:6581 0.33.0:6516
core.py | init engine (profile
  0.6.5:87 0.6.6:88 0.7.0:89 0.7.2:91 0.7.3:116 0.8.0:138 0.8.2:151 0.8.3:162 0.8.4:163 0.8.5:159 0.9.0:167 0.9.1:171 0.9.2:172
  0.10.0:193 0.10.1:214 0.10.2:218 0.11.0:210 0.11.1:250 0.12.0:254 0.13.0:259 0.14.0:273 0.16.0:278 0.17.0:282 0.18.0:281 0.19.0:283
  0.20.0:289/299/306 0.22.0:292/302/309 0.23.0:296/306/313 0.24.0:327/337/344 0.26.0:330/340/347 0.27.0:338/348/355 0.28.0:337/347/354
  0.29.0:351/361/368 0.30.0:362/372/379 0.31.0:363/373/380 0.32.0:385/395/402 0.33.0:395/405/412
llm_engine.py | init engine (profile
  0.6.5:446 0.6.6:431 0.7.0:429 0.7.2:431 0.7.3:436 0.8.0:447 0.8.3:448 0.8.4:449 0.8.5:437 0.9.0:428 0.10.0:424 0.10.1:417 0.10.2:420
  0.11.0:-
core.py | EngineCore failed to start
  0.8.5:396 0.9.0:500 0.9.1:515 0.9.2:586 0.10.0:632 0.10.1:700 0.10.2:718 0.11.0:708 0.11.1:842 0.12.0:843 0.13.0:866 0.14.0:936
  0.16.0:1006 0.17.0:1100 0.18.0:1099 0.19.0:1108 0.20.0:1136 0.21.0:1140 0.22.0:1165 0.23.0:1195 0.24.0:1231 0.26.0:1330 0.27.0:1349
  0.28.0:1346 0.29.0:1374 0.30.0:1366 0.31.0:1433 0.32.0:1510 0.33.0:1584
core.py | EngineCore encountered a fatal error
  0.8.5:398 0.9.0:502 0.9.1:517/958 0.9.2:588/1043 0.10.0:634/1144 0.10.1:702/1213 0.10.2:720/1242 0.11.0:710/1232 0.11.1:844/1417
  0.12.0:845/1418 0.13.0:868/1452 0.14.0:938/1557 0.16.0:1008/1624 0.17.0:1102/1907 0.18.0:1101/1979 0.19.0:1110/1983 0.20.0:1138/2018
  0.21.0:1142/2092 0.22.0:1167/2131 0.23.0:1197/2182 0.24.0:1233/2246 0.26.0:1332/2350 0.27.0:1351/2431 0.28.0:1348/2476
  0.29.0:1376/2531 0.30.0:1368/2524 0.31.0:1435/2586 0.32.0:1512/2663 0.33.0:1586/2806
multiproc_executor.py | WorkerProc failed to start
  0.8.5:435 0.9.0:487 0.9.1:492 0.9.2:487 0.10.0:511 0.10.1:559 0.10.2:585 0.11.0:597 0.11.1:743 0.12.0:750 0.13.0:751 0.14.0:749
  0.16.0:783 0.17.0:800 0.18.0:852 0.19.0:857 0.20.0:870 0.23.0:888 0.24.0:898 0.26.0:901 0.27.0:912 0.28.0:941 0.29.0:944 0.31.0:948
  0.32.0:953 0.33.0:1057
multiproc_executor.py | WorkerProc hit an exception
  0.7.0:372 0.7.2:374 0.8.0:375 0.8.2:379 0.8.3:383 0.8.4:380 0.8.5:470 0.9.0:522 0.9.1:527 0.9.2:522 0.10.0:546 0.10.1:596 0.10.2:654
  0.11.0:671 0.11.1:815 0.12.0:822 0.13.0:824 0.14.0:822 0.16.0:863 0.17.0:880 0.18.0:932 0.19.0:949 0.20.0:962 0.23.0:987 0.24.0:1000
  0.25.0:1004 0.26.0:1007 0.27.0:1018 0.28.0:1047 0.29.0:1055 0.31.0:1058 0.32.0:1063 0.33.0:1189
engine.py |
  0.6.4:366 0.7.0:387 0.7.2:389 0.7.3:400 0.8.0:448 0.9.0:457 0.9.1:458 0.10.0:456 0.10.1:467 0.10.2:468 0.11.0:-
multiproc_worker_utils.py | Exception in worker
  0.6.0:226 0.6.2:233 0.6.3:229 0.6.5:236 0.7.0:240 0.7.2:242 0.8.1:238 0.9.1:239 0.10.1:232 0.11.0:-
metrics.py | Avg prompt throughput
  0.6.0:351 0.6.3:349 0.6.4:449 0.6.5:467 0.7.0:453 0.7.2:455 0.8.0:481 0.8.3:488 0.8.4:489 0.8.5:486 0.9.1:417 0.10.0:386 0.10.2:398
  0.11.1:-
async_llm.py | AsyncLLM output_handler failed
  0.8.5:399 0.9.0:408 0.9.1:420 0.9.2:419 0.10.0:416 0.10.1:430 0.10.2:485 0.11.0:480 0.11.1:525 0.12.0:546 0.13.0:538 0.14.0:546
  0.16.0:710 0.17.0:708 0.18.0:707 0.20.0:699 0.20.1:704 0.27.0:724 0.28.0:744 0.29.0:819 0.30.0:843 0.31.0:871 0.32.0:906 0.33.0:943
"""
#: Calls that print a whole traceback: each of its lines names them, whatever it says. The one without words is V0's
#: engine.py.
_CRASHES = frozenset(
    (
        "EngineCore failed to start",
        "EngineCore encountered a fatal error",
        "WorkerProc failed to start",
        "WorkerProc hit an exception",
        "AsyncLLM output_handler failed",
        "",
    )
)

#: Wordings with the first and the last release that use them ("" = the first or the last known).
_WORDINGS: tuple[tuple[str, str, str], ...] = (
    ("Loading model weights took", "", "0.8.2"),
    ("GiB memory and ", "0.11.1", ""),
    ("init engine (profile, create kv cache, warmup model) took", "0.6.5", ""),
    ("PyTorch activation peak memory takes", "0.6.5", "0.10.2"),
    ("GPU KV cache size:", "0.8.0", ""),
    (" tokens, Maximum concurrency for", "0.28.0", ""),
    ("Available KV cache memory:", "0.9.1", ""),
    ("to hold the multi-modal embeddings in the worst case", "0.6.5", "0.11.0"),
    ("The context length (", "0.6.5", "0.7.3"),
    ("The sequence length used for profiling", "0.8.0", "0.10.2"),
    ("The encoder sequence length used for profiling", "0.8.4", "0.11.0"),
    ("pre-defined wosrt-case total", "0.9.2", "0.9.2"),
    ("pre-defined worst-case total", "0.10.0", "0.10.2"),
    ("with the models's max seq len", "0.7.0", "0.21.0"),
    ("with the model's max seq len", "0.22.0", ""),
    ("tokens that can be stored in KV cache (", "", "0.10.2"),
    ("torch.compile takes ", "0.6.5", "0.17.1"),
    ("torch.compile took ", "0.18.0", ""),
    (" out of potential backends", "0.12.0", ""),
    (" for vit attention", "0.13.0", ""),
    ("GiB for consumed memory (weights + non-torch)", "0.27.0", ""),
    ("EngineCore failed to start.", "0.8.5", ""),
    ("WorkerProc failed to start.", "0.8.5", ""),
    ("Engine process failed to start", "", "0.10.2"),
    ("Engine core initialization failed", "0.8.4", ""),
    ("[shutdown] ", "0.23.0", ""),
)
#: The same for names of processes, longest first.
_PROCESSES: tuple[tuple[str, str, str], ...] = (
    ("VllmWorkerProcess", "", "0.10.2"),
    ("VllmWorker rank=", "0.6.5", "0.10.0"),
    ("EngineCore_DP", "0.10.2", ""),
    ("EngineCore_", "0.8.3", "0.10.1"),
    ("EngineCore ", "0.18.0", ""),
    ("Worker_", "0.10.2", ""),
    ("APIServer ", "0.10.1", ""),
)


def infer_release(records: Iterable[Record]) -> str | None:
    """The release that the records come from: '0.8.5' if only one fits, else a range like '>=0.8.0,<0.10.2', None if nothing tells."""
    sites = wordings = frozenset(range(len(RELEASES)))
    strange = False
    for record in records:
        wordings &= _of_wordings(record)
        for fitting in _of_sites(record):
            strange = strange or not fitting
            sites &= fitting
    fitting = sites & wordings
    if strange or not fitting:
        return _range(wordings)  # a build of its own, or a mixture: its words still tell something
    known = {RELEASES[index] for index in fitting}
    return known.pop() if len(known) == 1 and sites != frozenset(range(len(RELEASES))) else _range(fitting)


def _range(fitting: frozenset[int]) -> str | None:
    """From the first release that fits to the first one after the last; None if that says nothing."""
    if not fitting:
        return None
    first, last = min(fitting), max(fitting)
    parts = ([f">={RELEASES[first]}"] if first else []) + (
        [f"<{RELEASES[last + 1]}"] if last + 1 < len(RELEASES) else []
    )
    return ",".join(parts) or None


def _of_wordings(record: Record) -> frozenset[int]:
    fitting = frozenset(range(len(RELEASES)))
    for words, first, last in _WORDINGS:
        if words in record.message:
            fitting &= _between(first, last)
    for name, first, last in _PROCESSES:
        if f"{record.process} ".startswith(name):
            return fitting & _between(first, last)
    return fitting


def _of_sites(record: Record) -> Iterator[frozenset[int]]:
    """For the call that wrote the record, if it is listed: the releases that have it on this line."""
    calls = _table().get(record.file, ())
    told = [lines for words, lines in calls if words[0] and any(part in record.message for part in words)]
    if told:
        yield frozenset().union(*(lines.get(record.file_line, frozenset()) for lines in told))
    elif record.level in ("ERROR", "CRITICAL"):
        crashes = [
            lines[record.file_line] for words, lines in calls if words[0] in _CRASHES and record.file_line in lines
        ]
        if crashes:
            yield frozenset().union(*crashes)


def _between(first: str, last: str) -> frozenset[int]:
    start = RELEASES.index(first) if first else 0
    return frozenset(range(start, RELEASES.index(last) + 1 if last else len(RELEASES)))


@lru_cache(maxsize=1)
def _table() -> dict[str, list[tuple[tuple[str, ...], dict[int, frozenset[int]]]]]:
    """By file: what a message holds, and for each line the releases (as places in RELEASES) that have the call there."""
    table: dict[str, list[tuple[tuple[str, ...], dict[int, frozenset[int]]]]] = {}
    for site in re.findall(r"^(\S+) \| ?(.*)\n((?:  .*\n)+)", _SITES, re.MULTILINE):
        file, words, changes = site
        table.setdefault(file, []).append((tuple(words.split("|")), _lines(changes)))
    return table


def _lines(changes: str) -> dict[int, frozenset[int]]:
    moved = dict(change.split(":") for change in changes.split())
    found: dict[int, set[int]] = {}
    current: list[int] = []
    for index, name in enumerate(RELEASES):
        if name in moved:
            current = [int(line) for line in moved[name].split("/") if line != "-"]
        for line in current:
            found.setdefault(line, set()).add(index)
    if _UNREAD.isdisjoint(moved):
        before, after = RELEASES.index("0.14.1"), RELEASES.index("0.16.0")
        for releases in found.values():
            if before in releases or after in releases:
                releases.update(RELEASES.index(name) for name in _UNREAD)
    return {line: frozenset(releases) for line, releases in found.items()}
