"""The tables of `sim ask`: words and loose names, as data. What the catalogue itself names is not repeated here."""

from __future__ import annotations

TIMES = {
    "s": "s sec secs second seconds",
    "min": "min mins minute minutes",
    "h": "h hr hrs hour hours",
    "d": "d day days",
    "weeks": "w wk wks week weeks",
    "months": "mo mos month months",
    "years": "y yr yrs year years",
}
"""Words for a time, by the unit that a command takes."""

LONG_TIMES = {
    "fortnight": ("weeks", 2),
    "fortnights": ("weeks", 2),
    "decade": ("years", 10),
    "decades": ("years", 10),
    "century": ("years", 100),
    "centuries": ("years", 100),
}
"""Times that a command writes in another unit."""

PREFIXES = {"k": "kilo", "m": "mega", "g": "giga", "t": "tera", "p": "peta", "e": "exa", "z": "zetta", "y": "yotta"}
"""SI prefixes, each a thousand times the one before."""

COUNTED = {
    "flop": (
        *("flop", "flops", "operations", "ops", "floating point operations", "floating point ops", "fp operations"),
        *("flop of compute", "flops of compute", "flop of training", "flops of training"),
    ),
    "token": ("token", "tokens", "tok", "toks"),
    "parameter": ("parameter", "parameters", "param", "params", "weights"),
    "percent": ("%", "percent", "pct"),
    "usd": ("$", "usd", "dollar", "dollars", "bucks"),
}
"""Words for what is counted, by dimension."""

BETWEEN = ("training", "total", "text", "dense")
"""Words that may stand between a number and its unit: 15T training tokens."""

MONTHS = "january february march april may june july august september october november december"

VENDORS = (
    "nvidia amd google intel aws amazon huawei apple geforce instinct xai microsoft azure oracle oci hpe groq meta "
    "openai"
)
"""Makers and owners, which may stand before a name or not."""

ASKS: dict[str, tuple[str, ...]] = {
    "howlong": (
        *(
            "how long",
            "how much time",
            "how quickly",
            "how fast",
            "how soon",
            "time to train",
            "time needed",
            "howlong",
        ),
        *("how many gpu hours", "how many gpu days", "how many gpu years", "how many device hours"),
    ),
    "howmany": (
        *("how many", "number of", "what number of", "how big a cluster", "how large a cluster", "howmany"),
        *("fewest", "smallest number of", "minimum number of", "smallest cluster", "how big of a cluster"),
        *("what size cluster", "what size of cluster", "how much hardware"),
    ),
    "howmuch": (
        *("how much compute", "how much training", "how much work", "how big a model", "how large a model", "howmuch"),
        *("how big of a model", "what size model", "how big a run", "how large a run", "how big a training run"),
        *(
            "largest run",
            "largest training run",
            "biggest run",
            "biggest training run",
            "largest model",
            "biggest model",
        ),
        *("how many training tokens", "how many training flop", "how many training flops", "how many billion tokens"),
    ),
}
"""Words that say which question it is."""

HINTS = {"howmuch": ("how much", "what can", "what could")}
"""Words that say so only where nothing else does: how much compute would, but also how much would it cost."""

RESULTS = {
    "the cost": ("cost", "costs", "how much money", "how expensive", "what price"),
    "the energy": ("how much energy", "how much power", "how much electricity", "energy", "electricity"),
    "the emission": ("co2", "carbon", "emissions", "how much co2", "how much carbon"),
}
"""What people ask for and every answer holds."""

PRECISIONS = {
    "fp4": ("fp4", "nvfp4", "mxfp4", "4 bit", "fp 4"),
    "fp6": ("fp6",),
    "fp8": ("fp8", "float8", "mxfp8", "8 bit", "8 bit floating point", "fp 8"),
    "fp16": ("fp16", "float16", "half precision", "fp 16"),
    "bf16": ("bf16", "bfloat16", "bf 16", "bfloat", "16 bit"),
    "fp32": ("fp32", "float32", "single precision", "full precision", "fp 32"),
    "tf32": ("tf32",),
    "fp64": ("fp64", "float64", "double precision"),
    "int8": ("int8",),
}
LAWS = {
    "chinchilla": ("chinchilla optimal", "chinchilla scaling", "chinchilla law", "chinchilla scaling law"),
    "llama3": ("llama 3 scaling", "llama 3 law", "llama 3 scaling law"),
}
LABELS = {
    "mfu": ("mfu", "utilization", "utilisation", "model flop utilization", "model flops utilization"),
    "batch": ("batch", "batch size", "batches", "global batch", "global batch size"),
    "sequence": (
        *("sequence", "sequences", "sequence length", "context", "context length", "context window"),
        *("seq len", "seqlen"),
    ),
    "step_time": ("step time", "per step", "a step", "/step", "each step"),
    "spares": ("spares", "spare", "spare node", "spare nodes"),
    "seeds": ("seeds",),
    "checkpoint": ("checkpoint every", "checkpoints every", "checkpointing every", "a checkpoint every"),
}
"""Words that name the option to which a number belongs, before or behind it."""

NO_FAILURES = ("no failures", "no failure", "without failures", "without any failures", "ignoring failures")
STARTS = ("start", "starts", "starting", "started", "starting from", "start date", "beginning", "begins")
NODES = ("node", "nodes", "server", "servers", "dgx", "hgx", "box", "boxes", "machine", "machines")
RACKS = ("rack", "racks", "nvl72 rack", "nvl72 racks")
DEVICES = (
    *("gpu", "gpus", "chip", "chips", "accelerator", "accelerators", "device", "devices", "card", "cards"),
    *("tpu", "tpus", "graphics card", "graphics cards", "unit", "units"),
)
SITES = (
    *("cluster", "clusters", "supercluster", "supercomputer", "system", "fleet", "farm", "datacenter", "data center"),
    "setup",
)
MODEL_NOUNS = ("model", "models", "llm", "network", "transformer", "language model", "dense model", "dense transformer")

DECIMAL_COMMA = "a comma divides thousands (24,576); the decimal sign is a point (1.5)"
ELSEWHERE = {
    "questions in words are about training runs": (
        *("inference", "serve", "serving", "generate", "latency", "throughput", "requests", "prefill", "decode"),
    ),
    "fine-tuning trains all parameters here": ("lora", "qlora", "adapter", "adapters", "peft"),
    "one run on two kinds of accelerators is not built; 'and' compares them": (
        *("+", "plus", "together", "combined", "mixed cluster", "mixture"),
    ),
    "a pod has no fixed size here: give the number of chips": (
        "pod",
        "pods",
        "superpod",
        "superpods",
        "slice",
        "slices",
    ),
    "it has no calendar of its own: say for how long": ("by", "until", "deadline", "today", "tomorrow"),
}
"""Words that sim ask knows and cannot follow, with the reason."""

FILLERS = """
the this that these those there here it its it's what what's whats which who if when then so as and or vs versus
of in on at with within for from to into using via about over under between against than = ~ ≈ ≤ <
around roughly approximately approx circa ca nearly almost some just only exactly less at-most at-least max maximum up
would will does do did can could should shall may might must is are was be been being has have had having
i we you they me us our your their i'd we'd i'm we're i've we've please tell say show let let's lets want wants like
hello hi hey thanks thank question ok okay well suppose assuming assume imagine possible possibly able
compute computes calculate estimate estimated estimation compare compared comparison comparing simulate simulation
get gets got give given giving use used uses need needs needed require requires required take takes taking took
last lasts finish finishes finished complete completes completed completion fit fits fitted reach reaches achieve
run runs running ran train trains training trained pretrain pretraining pretrained pre
fine tune tunes tuning tuned finetune finetuning finetuned do done doing perform performed performing
process spend spent execute work worked working workload job jobs session sessions
budget amount amounts worth total full whole all time period duration wall clock wall-clock straight continuous
continuously uninterrupted precision mixed precisions format data dataset corpus text dense instruct chat base
big large size sized scale frontier-model frontier-run frontier-scale frontier-training-run compute-optimal optimal
optimally scratch tensor-core instance instances type types kind kinds named called now currently
sim ask does-one can-one could-one would-one should-one one-needs
"""
"""Words that say nothing here. Not one of them changes a quantity: without, twice and per are not among them."""

LOOSE: dict[str, dict[str, str]] = {
    "chip": {
        "h100": "h100-sxm h100-nvl h100-pcie",
        "h100 80gb": "h100-sxm h100-pcie",
        "80gb h100": "h100-sxm h100-pcie",
        "h100 80g": "h100-sxm h100-pcie",
        "h100 sxm5": "h100-sxm",
        "h100 sxm 80gb": "h100-sxm",
        "h100 80gb sxm": "h100-sxm",
        "h100 80gb sxm5": "h100-sxm",
        "h100 80gb hbm3": "h100-sxm",
        "sxm h100": "h100-sxm",
        "pcie h100": "h100-pcie",
        "h100 nvl 94gb": "h100-nvl",
        "hopper": "h100-sxm h200-sxm",
        "h200": "h200-sxm h200-nvl",
        "h200 sxm 141gb": "h200-sxm",
        "h200 141gb": "h200-sxm h200-nvl",
        "h800": "h800-sxm",
        "a800": "a800-sxm a800-pcie",
        "a100": "a100-80gb-sxm a100-40gb-sxm a100-80gb-pcie a100-40gb-pcie",
        "a100 sxm": "a100-80gb-sxm a100-40gb-sxm",
        "a100 sxm4": "a100-80gb-sxm a100-40gb-sxm",
        "a100 pcie": "a100-80gb-pcie a100-40gb-pcie",
        "a100 80gb": "a100-80gb-sxm a100-80gb-pcie",
        "80gb a100": "a100-80gb-sxm a100-80gb-pcie",
        "a100 80g": "a100-80gb-sxm a100-80gb-pcie",
        "a100 80gb sxm4": "a100-80gb-sxm",
        "a100 sxm 80gb": "a100-80gb-sxm",
        "a100 pcie 80gb": "a100-80gb-pcie",
        "a100 40gb": "a100-40gb-sxm a100-40gb-pcie",
        "40gb a100": "a100-40gb-sxm a100-40gb-pcie",
        "a100 sxm 40gb": "a100-40gb-sxm",
        "a100 pcie 40gb": "a100-40gb-pcie",
        "ampere": "a100-80gb-sxm a100-40gb-sxm",
        "v100": "v100-sxm2-32gb v100-sxm2-16gb",
        "v100 32gb": "v100-sxm2-32gb",
        "v100 16gb": "v100-sxm2-16gb",
        "v100 sxm2": "v100-sxm2-32gb v100-sxm2-16gb",
        "b200": "b200-sxm",
        "b300": "b300-sxm",
        "blackwell": "b200-sxm gb200 b100 b300-sxm",
        "blackwell ultra": "b300-sxm gb300",
        "gb200 nvl72": "gb200",
        "gb300 nvl72": "gb300",
        "grace blackwell": "gb200 gb300",
        "grace hopper": "gh200-96gb gh200-144gb",
        "gh200": "gh200-96gb gh200-144gb",
        "vera rubin": "rubin",
        "vr200": "rubin",
        "vr200 nvl72": "rubin",
        "vera rubin nvl72": "rubin",
        "3090": "rtx-3090",
        "4090": "rtx-4090",
        "5090": "rtx-5090",
        "rtx 6000 pro": "rtx-pro-6000",
        "tpu v7": "tpu7x",
        "tpu 7x": "tpu7x",
        "ironwood": "tpu7x",
        "trillium": "tpu-v6e",
        "v4 tpu": "tpu-v4",
        "v5e": "tpu-v5e",
        "v5e tpu": "tpu-v5e",
        "v5p": "tpu-v5p",
        "v5p tpu": "tpu-v5p",
        "v6e": "tpu-v6e",
        "v6e tpu": "tpu-v6e",
        "trn1": "trainium1",
        "trn2": "trainium2",
        "trn3": "trainium3",
        "trainium": "trainium2 trainium1 trainium3",
        "inf2": "inferentia2",
        "gaudi": "gaudi3 gaudi2",
        "ascend": "ascend-910c ascend-910b2 ascend-950dt",
        "910b": "ascend-910b2",
        "910c": "ascend-910c",
        "ascend 910b": "ascend-910b2",
        "ponte vecchio": "max-1550",
        "m2 ultra": "apple-m2-ultra",
        "m3 ultra": "apple-m3-ultra",
        "person": "human",
        "people": "human",
        "humans": "human",
    },
    "cluster": {
        "colossus": "xai-colossus-1 xai-colossus-2-phase-1",
        "xai colossus": "xai-colossus-1 xai-colossus-2-phase-1",
        "colossus 1": "xai-colossus-1",
        "colossus 2": "xai-colossus-2-phase-1",
        "llama 3 cluster": "meta-16k-llama3 meta-24k-h100",
        "llama 3.1 cluster": "meta-16k-llama3 meta-24k-h100",
        "meta llama 3 cluster": "meta-16k-llama3 meta-24k-h100",
        "meta's llama 3 cluster": "meta-16k-llama3 meta-24k-h100",
        "llama 3 16k cluster": "meta-16k-llama3",
        "llama 3 24k cluster": "meta-24k-h100 meta-24k-h100-infiniband",
        "meta 24k cluster": "meta-24k-h100 meta-24k-h100-infiniband",
        "gpt 4 cluster": "openai-gpt4-a100",
        "eos": "nvidia-eos coreweave-eos-dfw",
        "selene": "nvidia-selene",
        "eagle": "microsoft-eagle",
        "rainier": "project-rainier",
        "stargate": "stargate-abilene-1 stargate-uae-1",
        "stargate abilene": "stargate-abilene-1",
        "abilene": "stargate-abilene-1",
        "stargate uae": "stargate-uae-1",
        "isambard": "isambard-ai",
        "research supercluster": "meta-rsc",
        "rsc": "meta-rsc",
        "everyone on earth": "humanity",
        "everybody on earth": "humanity",
        "all humans": "humanity",
        "all humans on earth": "humanity",
        "all people on earth": "humanity",
        "mankind": "humanity",
        "humankind": "humanity",
        "all of humanity": "humanity",
    },
    "model": {
        "gpt 3": "gpt3-175b",
        "gpt 3 175b": "gpt3-175b",
        "llama 405b": "llama-3.1-405b",
        "llama 3 405b": "llama-3.1-405b",
        "llama 70b": "llama-3.1-70b llama-2-70b llama-3-70b llama-3.3-70b",
        "llama 8b": "llama-3.1-8b llama-3-8b",
        "llama 7b": "llama-2-7b llama-1-7b",
        "llama 13b": "llama-2-13b llama-1-13b",
        "llama 65b": "llama-1-65b",
        "llama 1b": "llama-3.2-1b",
        "llama 3b": "llama-3.2-3b",
        "llama 4": "llama-4-maverick llama-4-scout",
        "maverick": "llama-4-maverick",
        "scout": "llama-4-scout",
        "deepseek": "deepseek-v3 deepseek-v2 deepseek-v3.2",
        "deepseek v3 671b": "deepseek-v3",
        "r1": "deepseek-r1",
        "mixtral": "mixtral-8x7b mixtral-8x22b",
        "mistral": "mistral-7b mistral-large-2",
        "mistral large": "mistral-large-2",
        "falcon": "falcon-180b falcon-40b",
        "gopher": "gopher-280b",
        "palm": "palm-540b",
        "lamda": "lamda-137b",
        "bloom": "bloom-176b",
        "opt": "opt-175b opt-66b",
        "chinchilla": "chinchilla-70b",
        "grok": "grok-1",
        "kimi": "kimi-k2 kimi-k2.5",
        "megatron turing": "mt-nlg-530b",
        "megatron turing nlg": "mt-nlg-530b",
        "mt nlg": "mt-nlg-530b",
        "gpt oss": "gpt-oss-120b gpt-oss-20b",
        "command r+": "command-r-plus",
    },
}
"""Names looser than those of the catalogue: what is taken, then what it might have meant as well."""
