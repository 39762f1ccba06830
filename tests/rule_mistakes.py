"""Mistakes in rule files for tests: in the good one of `rule_files.py`."""

from __future__ import annotations

#: (what is replaced, by what, where it is said, what is said)
MISTAKES = {
    "a misspelt key of a match item": (
        "    level: ERROR",
        "    mesage: ERROR",
        "match[0]: a match item takes exception, facts, frame, level, message, observation, values; not 'mesage'; did you mean 'message'?",
    ),
    "a misspelt key of the rule": ("applies: {vllm: '>", "aplies: {vllm: '>", "not 'aplies'; did you mean 'applies'?"),
    "an unknown key of a fix": (
        "    applies: {engine: V1}",
        "    when: {engine: V1}",
        "fixes[0]: a fix takes applies, change, en, platforms, remedy, zh; not 'when'",
    ),
    "a platform that there is none such": (
        "    applies: {engine: V1}",
        "    platforms: [cuda, npu]",
        "fixes[0].platforms[1]: is cuda or rocm or ascend or xpu or gaudi or tpu or neuron or cpu, not 'npu'",
    ),
    "an unknown key of a change": (
        "      pod: shm",
        "      pods: shm",
        "fixes[0].change: a change takes flags, env, pip, image, pod, run; not 'pods'",
    ),
    "an unknown key of an example": (
        "      captures: {",
        "      capture: {",
        "tests.matches[0]: an example that matches takes",
    ),
    "an unknown kind of example": ("  silent:", "  quiet:", "tests: tests takes matches, silent; not 'quiet'"),
    "an unknown language": ("  zh: 长度", "  fr: 长度", "title: a text takes en, zh; not 'fr'"),
    "a key twice": (
        "severity: fatal",
        "severity: fatal\nseverity: notice",
        "severity: 'severity' appears twice, first on line 3",
    ),
    "a key twice in a match item": (
        "    level: ERROR",
        "    exception: x\n    level: ERROR",
        "exception: 'exception' appears twice",
    ),
    "no Chinese text": ("  zh: 长度 {asked} 超过模型的 {derived}\n", "", "title: there is no zh text"),
    "an empty Chinese text": ("  zh: 长度 {asked} 超过模型的 {derived}\n", "  zh:\n", "title.zh: is empty"),
    "English as Chinese": (
        "  zh: 长度 {asked} 超过模型的 {derived}\n",
        "  zh: Length {asked} {derived}\n",
        "title: there is no Chinese in the zh text",
    ),
    "a placeholder in one language": (
        "超过模型的 {derived}",
        "超过模型的长度",
        "title: en and zh differ in placeholders: only en has derived",
    ),
    "a number in one language": (
        "zh: 减少输入。",
        "zh: 减少 2 项输入。",
        "fixes[1]: en and zh differ in numbers: only zh has 2",
    ),
    "a flag in one language": (
        "而 --max-model-len 为",
        "而最大长度为",
        "why: en and zh differ in flags: only en has --max-model-len",
    ),
    "a variable in one language": (
        "en: Ask less.",
        "en: Ask less, or set VLLM_USE_V1.",
        "fixes[1]: en and zh differ in variables: only en has VLLM_USE_V1",
    ),
    "a title, no map": ("title:\n  en: The", "title: x\nwhy_not:\n  en: The", "title: a text is a map of en, zh"),
    "an unknown severity": (
        "severity: fatal",
        "severity: fatl",
        "severity: is fatal or degraded or notice, not 'fatl'; did you mean 'fatal'?",
    ),
    "another confidence": ("confidence: likely", "confidence: 'sure'", "confidence: is certain or likely, not 'sure'"),
    "a symptom that is neither yes nor no": ("symptom: no", "symptom: maybe", "symptom: is yes or no, not 'maybe'"),
    "an id that is not the file's name": (
        "id: length-above-model",
        "id: length-above",
        "id: the id is the file's name: 'length-above-model', not 'length-above'",
    ),
    "an id that is no id": (
        "id: length-above-model",
        "id: Length_above",
        "id: an id is lower-case words joined by '-', not 'Length_above'",
    ),
    "no matching examples": ("  matches:\n", "  matched:\n", "tests: there is no matches"),
    "no references": (
        "  - https://docs.vllm.ai/en/latest/serving/engine_args.html",
        "  []",
        "references: is a list with at least one item",
    ),
    "a reference that is no address": (
        "  - https://docs.vllm.ai/en/latest/serving/engine_args.html",
        "  - issue 7",
        "references[0]: is a web address",
    ),
    "a list of tests": (
        "  silent:\n    - name: a length that fits\n      log: |\n        INFO all is well\n",
        "  silent: []\n",
        "tests.silent: is a list with at least one item",
    ),
    "an example without a name": (
        "    - name: a length that fits\n      log: |",
        "    - log: |",
        "tests.silent[0]: there is no name",
    ),
    "an example without log and facts": (
        "      log: |\n        INFO all is well\n",
        "",
        "tests.silent[0]: has neither a log nor facts",
    ),
    "captures of what must be silent": (
        "      log: |\n        INFO all",
        "      captures: {a: b}\n      log: |\n        INFO all",
        "an example that stays silent takes",
    ),
    "facts of an example that are no map": (
        "      facts: {vllm: 0.8.5}",
        "      facts: 0.8.5",
        "tests.matches[0].facts: is a map of facts",
    ),
    "a fact of an example that nobody knows": (
        "      facts: {vllm: 0.8.5}",
        "      facts: {vlm: 0.8.5}",
        "tests.matches[0].facts: there is no fact 'vlm'; did you mean 'vllm'?",
    ),
    "a fact of an example that its log must tell": (
        "      facts: {vllm: 0.8.5}",
        "      facts: {phase: load}",
        "tests.matches[0].facts: phase is told by the log; put the lines that say it into the example",
    ),
    "an unknown fact in the applies of a fix": (
        "{engine: V1}",
        "{engin: V1}",
        "fixes[0].applies: there is no fact 'engin'; did you mean 'engine'?",
    ),
    "captures that are no map": (
        "      captures: {asked: '131072', derived: '32768'}",
        "      captures: 131072",
        "captures: is a map of names and texts",
    ),
    "an unknown fact": (
        "{phase: config, vllm:",
        "{phas: config, vllm:",
        "match[0].facts: there is no fact 'phas'; did you mean 'phase'?",
    ),
    "an unknown fact in applies": (
        "applies: {vllm: '>=0.8,",
        "applies: {vlm: '>=0.8,",
        "applies: there is no fact 'vlm'; did you mean 'vllm'?",
    ),
    "a phase that is none": (
        "{phase: config, vllm:",
        "{phase: profiling, vllm:",
        "match[0].facts.phase: 'profiling' fits none of config, load, profile",
    ),
    "a malformed range": (
        "{vllm: '>=0.8,<0.10'}",
        "{vllm: '>=0.8 <0.10'}",
        "applies.vllm: not a version range: '>=0.8 <0.10'",
    ),
    "a version without a range": (
        "{vllm: '>=0.8,<0.10'}",
        "{vllm: 0.8.5}",
        "applies.vllm: is a range: write '==0.8.5' or '>=0.8.5'",
    ),
    "a malformed pattern of a fact": (
        "{engine: V1}",
        "{engine: 'V(1'}",
        "fixes[0].applies.engine: the pattern is no regular expression",
    ),
    "empty facts": ("{phase: config, vllm: '<0.12'}", "{}", "match[0].facts: is empty"),
    "a pattern that does not compile": (
        r"'max_model_len \((?P",
        r"'max_model_len ((?P",
        "match[0].message: the pattern is no regular expression",
    ),
    "a pattern that can run away": (
        r"max_model_len \((?P<asked>\d+)",
        r"max_model_len \((?P<asked>(?:\d+)+)",
        "match[0].message: the pattern repeats something",
    ),
    "a message of two words": (
        "'asked for (?P<asked>\\d+) tokens, but the model has (?P<derived>\\d+)'",
        "'asked (?P<asked>\\d+) has (?P<derived>\\d+)'",
        "match[1].message: has 2 literal words",
    ),
    "a message that is one alternation": (
        "'asked for (?P",
        "'it asked for less|asked for (?P",
        "match[1].message: has no text that every match contains",
    ),
    "an item that says nothing but a level": (
        "  - message: 'asked",
        "  - level: ERROR\n  - message: 'asked",
        "match[1]: says too little",
    ),
    "a common exception alone": (
        "  - message: 'asked",
        "  - exception: RuntimeError\n  - message: 'asked",
        "match[1]: 'RuntimeError' alone says too little",
    ),
    "a level that is none": (
        "level: ERROR|WARNING",
        "level: ERR",
        "match[0].level: fits none of DEBUG, INFO, WARNING, ERROR, CRITICAL",
    ),
    "match is no list": ("match:\n  - exception: ValueError\n", "match:\n    exception: ValueError\n", "is no YAML"),
    "a match item that is a text": (
        "  - message: 'asked",
        "  - 'nothing'\n  - message: 'asked",
        "match[1]: a match item is a map of exception",
    ),
    "an empty fix text": ("  - en: Ask less.", "  - en: ''", "fixes[1].en: is empty"),
    "a title that nothing captures": (
        "but the model has (?P<derived>\\d+)'",
        "but the model has fewer'",
        "title: match[1] does not capture {derived}",
    ),
    "a title that is captured only sometimes": (
        "but the model has (?P<derived>\\d+)'",
        "but the model(?: has (?P<derived>\\d+))?'",
        "title: match[1] captures only in some matches {derived}",
    ),
    "a placeholder that comes from nowhere": (
        "en: Ask less.\n    zh: 减少输入。",
        "en: Ask {les}.\n    zh: 减少 {les}。",
        "fixes[1]: {les} is no named group and no fact",
    ),
    "a placeholder in a change that comes from nowhere": (
        "--max-model-len: '{derived}'",
        "--max-model-len: '{derive}'",
        "fixes[0]: {derive} is no named group and no fact, and there is no remedy; did you mean 'derived'?",
    ),
    "a placeholder for a flag that comes from nowhere": (
        "'{asked}': null",
        "'{aked}': null",
        "fixes[0]: {aked} is no named group and no fact, and there is no remedy; did you mean 'asked'?",
    ),
    "a flag without hyphens": (
        "        --enforce-eager: true",
        "        enforce-eager: true",
        "flags.enforce-eager: a flag is written as --max-model-len",
    ),
    "a flag with underscores": (
        "        --enforce-eager: true",
        "        --enforce_eager: true",
        "a flag is written as --max-model-len",
    ),
    "a flag that is false": (
        "        --enforce-eager: true",
        "        --enforce-eager: false",
        "'false' is no value of a flag",
    ),
    "a flag without a value": (
        "        --swap-space: null",
        "        --swap-space:",
        "flags.--swap-space: has no value",
    ),
    "a flag repeated with maps": ("[one, two]", "[{one: two}]", "flags.--allowed-origins: is a list of texts"),
    "flags that are no map": (
        "      env: {VLLM_ALLOW_LONG_MAX_MODEL_LEN: '1', VLLM_USE_V1: null}",
        "      env: VLLM_USE_V1=1",
        "change.env: is a map of variables",
    ),
    "a variable with a blank": (
        "{VLLM_ALLOW_LONG_MAX_MODEL_LEN: '1',",
        "{VLLM ALLOW: '1',",
        "is not the name of an environment variable",
    ),
    "a variable of lists": ("VLLM_USE_V1: null", "VLLM_USE_V1: [a]", "change.env.VLLM_USE_V1: is a text, or null"),
    "a requirement with blanks": (
        "'transformers>=4.49,<5'",
        "'transformers >= 4.49'",
        "change.pip[0]: is a requirement without blanks",
    ),
    "pip as a text": (
        "      pip: ['transformers>=4.49,<5', 'vllm[audio]=={vllm}', 'torch{derived}']",
        "      pip: transformers",
        "change.pip: is a list of requirements",
    ),
    "a patch that does not exist": (
        "pod: shm-volume",
        "pod: shm-volumes",
        "startup-probe, volume-medium; did you mean 'shm-volume'?",
    ),
    "a command of two lines": (
        "run: ray status",
        "run: |\n        ray stop\n        ray start",
        "change.run: is a text of one line",
    ),
    "an image, a map": ("image: vllm/vllm-openai:v0.8.5", "image: {a: b}", "change.image: is a text of one line"),
    "a change that is a text": (
        "    zh: 减少输入。",
        "    zh: 减少输入。\n    change: none",
        "fixes[1].change: a change is a map of",
    ),
    "a rule that explains itself": (
        "explains: [engine-failed]",
        "explains: [length-above-model]",
        "explains: names the rule itself",
    ),
    "explains as a text": (
        "explains: [engine-failed]",
        "explains: engine-failed",
        "explains: is a list with at least one item",
    ),
    "a text that is a list": ("severity: fatal", "severity: [fatal]", "severity: is a text"),
    "a colon in a plain text": (
        "en: Ask less.",
        "en: Ask less: one.",
        "is no YAML: mapping values are not allowed in this context; quote this value, it contains ': '",
    ),
    "a tab": ("    zh: 减少输入。", "\tzh: 减少输入。", "indent with blanks, not with tabs"),
    "a backquote": ("en: Ask less.", "en: `Ask` less.", "quote this value: it begins with a character that YAML keeps"),
    "a quote that is never closed": ("en: Ask less.", "en: 'Ask less.", "is no YAML"),
    "a backslash in double quotes": (
        "level: ERROR|WARNING",
        'level: "\\d"',
        "in double quotes a backslash is an escape",
    ),
    "a comma in braces": ("symptom: no", "symptom: {no, yes", "is no YAML"),
    "a star": ("en: Ask less.", "en: *Ask less.", "or quote this value"),
    "a tag": ("symptom: no", "symptom: !!python/name:os.system no", "is a tag"),
    "an exclamation mark": ("en: Ask less.", "en: !Ask less.", "quote this value: '!' at the beginning is a tag"),
    "a second document": ("references:", "---\nreferences:", "one file is one rule"),
    "a control character": ("en: Ask less.", "en: Ask \x07 less.", "there is a control character in the file"),
    "a message of gaps": (
        "'asked for (?P<asked>\\d+) tokens, but the model has (?P<derived>\\d+)'",
        "'(?P<asked>\\d+) (?P<derived>\\d+)'",
        "match[1].message: has no literal words; it needs 3, or 25 literal characters in a row",
    ),
    "a text that is not written yet": ("en: Ask less.", "en: TODO", "fixes[1].en: is not written yet"),
    "an observation that is none": (
        "  - message: 'asked",
        "  - observation: clock_worng\n  - message: 'asked",
        "match[1].observation: there is no observation 'clock_worng'; did you mean 'clock_wrong'?",
    ),
    "an observation that is a list": (
        "        INFO all is well\n",
        "        INFO all is well\n      observation: [clock_wrong]\n",
        "tests.silent[0].observation: there is no observation",
    ),
    "a value that the sentence has not": (
        "  - message: 'asked",
        "  - observation: clock_wrong\n    values: {days: '1970.*'}\n  - message: 'asked",
        "match[1].values: the sentence of clock_wrong has no {days}; did you mean 'day'?; it has day",
    ),
    "a value that the sentence cannot be said without": (
        "        INFO all is well\n",
        "        INFO all is well\n      observation: open_files_few\n      values: {files: '4096'}\n",
        "tests.silent[0].values: the sentence of open_files_few is not said without wanted",
    ),
    "a text to search in an observation": (
        "  - message: 'asked",
        "  - observation: clock_wrong\n    message: the clock shows a day long ago\n  - message: 'asked",
        "match[1].message: an observation is matched by its key and its values",
    ),
    "values of nothing": (
        "  - message: 'asked",
        "  - values: {day: '1970.*'}\n    message: 'asked",
        "match[1].values: values are those of an observation; name it with 'observation: KEY'",
    ),
    "the level of an observation": (
        "level: ERROR|WARNING",
        "level: MACHINE",
        "match[0].level: no line of a log has this level",
    ),
    "a title that only some observations fill": (
        "  - message: 'asked",
        "  - observation: flag_dotted_too_early\n  - message: 'asked",
        "title: match[1] does not capture {asked}, and a title needs it whenever the rule speaks",
    ),
    "releases in the wrong order": (
        "references:",
        "seen_in: [0.9.0–0.8.0]\nreferences:",
        "seen_in[0]: is a release or two, '0.8.0–0.10.2', not '0.9.0–0.8.0'; tools/verify_rules.py writes it",
    ),
    "an unknown remedy": (
        "    applies: {engine: V1}",
        "    remedy: vidio_off",
        "fixes[0].remedy: there is no remedy 'vidio_off'; did you mean 'video_off'?; there are: ",
    ),
}
