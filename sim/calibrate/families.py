"""Which measurements stand behind each family of the catalogue, and which families borrow.

Every peak here is that of the catalogue; a test compares them. Formats follow the collectors: TensorRT-LLM
1.3.0rc20 for products (A100: 1.0.0), nccl-tests for collectives.
"""

from __future__ import annotations

from dataclasses import dataclass, field

OPERATORS = ("aiconfigurator", "095f58a51c4ca8e61b66ec108d86f223f8d559ce", "Apache-2.0")
PAIRS = ("vidur", "7d47513363ec447a741ac5e47241580b47724fbf", "MIT")
MATRIX_TABLE = "ml-engineering@744d01e compute/accelerator/README.md, table of maximum achievable matmul FLOP/s"
NETWORK_TABLE = "ml-engineering@744d01e network/README.md"


@dataclass(frozen=True, slots=True)
class Measured:
    """A family with measurements of its own: peaks in TFLOP/s, rates in GB/s, cache in MiB."""

    title: str
    system: str
    """Name of the chip in the tables of operators."""
    bf16: float
    memory: float
    cache: float
    link: float
    eight_bit: float | None = None
    four_bit: float | None = None
    nccl: str = "2.29.2"
    """Version of NCCL whose table is used."""
    ranks: tuple[int, ...] = (2, 4, 8)
    """Rank counts of that table that are sound."""
    wider: str | None = None
    """System whose curve at 8 ranks continues this one, where the table ends at a node of 4."""
    pair: str | None = None
    """Name in the table of pairwise transfers."""
    vector: str = "h100"
    """Chip in the table of memory-bound operators."""
    head_dim_of: str | None = None
    """System that lends the constant of the head dimension, where the table holds one head dimension."""
    experts_of: str | None = None
    """System that lends the curve of experts, where the table holds no even choice of them."""
    block_kernel: str = "deepgemm"
    """Kernel of the table's experts in 8-bit blocks; empty where it has none that a curve describes (Triton)."""
    eight_bit_attention: bool = True
    """Whether the table's fp8 attention is one kernel: on consumer chips it mixes two, four times apart."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Borrowed:
    """A family that borrows from another all that nothing is known about."""

    title: str
    base: str
    compute_efficiency: dict[str, tuple[float, str, str]] = field(default_factory=dict)
    """By format: share of the dense peak, status, source."""
    shares: tuple[tuple[float, ...], str, str] | None = None
    """Share of the whole link at 2, 4 and 8 ranks for every collective, status, source."""
    pair_share: tuple[float, str, str] | None = None
    """Share of the link to one peer that a single pair reaches, status, source."""
    memory: tuple[float, str, str] | None = None
    """Share of memory bandwidth over that of the base, status, source."""
    notes: tuple[str, ...] = ()


MEASURED = {
    "a100-sxm": Measured(
        "A100 SXM; TensorRT-LLM 1.0.0, NCCL 2.27.3",
        "a100_sxm", 312, 2039, 40, 300, nccl="2.27.3",
        pair="a100_dgx", vector="a100", head_dim_of="l40s", experts_of="h100_sxm",
        notes=("The attention table holds head_dim 128 alone: half_head_dim is that of the L40S.",),
    ),
    "h100-sxm": Measured(
        "H100 SXM; TensorRT-LLM 1.3.0rc20, NCCL 2.29.2",
        "h100_sxm", 989.4, 3350, 50, 450, eight_bit=1978.9, pair="h100_dgx", block_kernel="moe_torch_flow_cutlass",
    ),
    "h200-sxm": Measured(
        "H200 SXM; TensorRT-LLM 1.3.0rc20, NCCL 2.29.2",
        "h200_sxm", 989.4, 4800, 50, 450, eight_bit=1978.9, block_kernel="moe_torch_flow_cutlass",
    ),
    "b200-sxm": Measured(
        "B200 SXM; TensorRT-LLM 1.3.0rc20, NCCL 2.29.2",
        "b200_sxm", 2250, 8000, 126, 900, eight_bit=4500, four_bit=9000,
    ),
    "gb200": Measured(
        "GB200; TensorRT-LLM 1.3.0rc20, NCCL 2.29.2",
        "gb200", 2500, 8000, 126, 900, eight_bit=5000, four_bit=10000, ranks=(2, 4), wider="b200_sxm",
    ),
    "b300-sxm": Measured(
        "B300 SXM; TensorRT-LLM 1.3.0rc20, NCCL 2.29.2",
        "b300_sxm", 2250, 7750, 126, 900, eight_bit=4500, four_bit=14000,
    ),
    "gb300": Measured(
        "GB300; TensorRT-LLM 1.3.0rc20, NCCL 2.29.2",
        "gb300", 2500, 8000, 126, 900, eight_bit=5000, four_bit=15000, ranks=(2, 4), wider="b300_sxm",
    ),
    "l40s": Measured(
        "L40S on PCIe 4; TensorRT-LLM 1.3.0rc20, NCCL 2.27.3",
        "l40s", 362.05, 864, 96, 32, eight_bit=733, nccl="2.27.3", ranks=(2,), eight_bit_attention=False,
        block_kernel="",
        notes=("Collectives at 4 and 8 ranks (2 to 6 GB/s) come from a badly routed host: that of 2 ranks stands in.",),
    ),
    "rtx-pro-6000": Measured(
        "RTX PRO 6000 Blackwell Server Edition on PCIe 5; TensorRT-LLM 1.3.0rc20, NCCL 2.29.2",
        "rtx_pro_6000_server", 467.8, 1792, 128, 64, eight_bit=935.6, four_bit=1871.2, eight_bit_attention=False,
        block_kernel="",
    ),
}  # fmt: skip

_MATRIX = "derived", MATRIX_TABLE
_MESH = (
    (47.67 / 448, 3 * 47.67 / 448, 312.9 / 448),
    "derived",
    f"{NETWORK_TABLE}: RCCL all-reduce of 4 GiB, 47.67 GB/s at 2 and 312.9 at 8 ranks of 448; 3 such links at 4 ranks",
)
_MESH_PAIR = 47.67 / 64, "derived", f"{NETWORK_TABLE}: RCCL all-reduce of 4 GiB at 2 ranks, 47.67 of 64 GB/s"

_UNTHROTTLED = (
    0.84,
    "derived",
    "the L40S reaches 211 TFLOP/s in bf16 within 350 W, no limit for 165 within 450 W: share of the A100",
)

BORROWED = {
    "mi300x": Borrowed(
        "MI300X; hipBLASLt matmul and RCCL all-reduce measured, the rest of the H100",
        "h100-sxm", {"bf16": (0.51, *_MATRIX)}, _MESH, _MESH_PAIR,
    ),
    "mi325x": Borrowed(
        "MI325X; matmul measured, collectives of the MI300X, the rest of the H100",
        "h100-sxm", {"bf16": (0.60, *_MATRIX)}, _MESH, _MESH_PAIR,
    ),
    "mi355x": Borrowed(
        "MI355X; matmul measured, collectives of the MI300X, the rest of the B200",
        "b200-sxm",
        {"bf16": (0.68 * 2300 / 2516.6, "derived", f"{MATRIX_TABLE}: 68 % of 2300, as a share of 2516.6 TFLOP/s")},
        _MESH, _MESH_PAIR,
    ),
    "gaudi3": Borrowed(
        "Gaudi 3; matmul measured, the rest of the H100",
        "h100-sxm", {"bf16": (0.74, *_MATRIX), "fp8": (0.74, "derived", f"{MATRIX_TABLE}: bf16; same peak")},
    ),
    "tpu": Borrowed(
        "TPU; matmul from memory, collectives by the achievable rate of a link, the rest of the H100",
        "h100-sxm",
        {
            "bf16": (0.85, "memory", "large matmuls on systolic arrays; training at 55-65 % MFU is reported"),
            "fp8": (0.75, "memory", "as bf16, less the casts"),
        },
        ((0.9, 0.9, 0.9), "derived", "scaling-book@0819a7d: 45 of 50 GB/s a link are achievable"),
        (0.9, "derived", "scaling-book@0819a7d: 45 of 50 GB/s a link are achievable"),
    ),
    "trainium": Borrowed(
        "Trainium; matmul from memory, the rest of the H100",
        "h100-sxm", {"bf16": (0.70, "memory", "no table at hand; between Gaudi 3 and the H100")},
    ),
    "rtx-4090": Borrowed(
        "RTX 4090; the L40S, without its limit of power",
        "l40s",
        {"bf16": _UNTHROTTLED, "fp8": _UNTHROTTLED},
        memory=(16 / 15, "derived", "the L40S keeps its error correction in line, one part in 16 of its bandwidth"),
        notes=("Added with recorded runs of vLLM on this card in view: they are no test of it.",),
    ),
    "generic": Borrowed("A chip of which nothing is known: the H100 in every curve", "h100-sxm"),
}  # fmt: skip
