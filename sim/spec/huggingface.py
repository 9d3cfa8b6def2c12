"""Read the shape of a model from the `config.json` that its weights come with.

What a key means, and what its architecture decides beside the file, stands in `sim.spec.architectures`.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import NotYetError
from sim.spec import huggingface_hybrid
from sim.spec.architectures import ALIASES, LATENT, ExpertKeys
from sim.spec.document import brief
from sim.spec.huggingface_file import MAX_SIZE, Config, open_config
from sim.spec.model import Experts, LatentAttention, ModelShape

if TYPE_CHECKING:
    from sim.spec.model import LayerType

MAX_LAYERS = 10_000
"""Most layers; they are walked through one by one."""
_ATTENTION: dict[object, LayerType] = {"full_attention": "full", "sliding_attention": "sliding"}
_SNAPSHOT = re.compile(r"[0-9a-f]{40}")
_WORDS = re.compile(r"[a-z0-9]+(?:\.[a-z0-9]+)*")
_LONGEST_NAME = 64


def from_config(path: str | os.PathLike[str]) -> ModelShape:
    """Read the shape of a model from a config.json of Hugging Face, or from the folder that holds one.

    Raises:
        ScenarioError: the file cannot be read, is not such a file, or lacks a key; says which, with its place.
        NotYetError: it describes what a shape cannot express.

    """
    return _Reader(open_config(os.fspath(path))).shape()


class _Reader:
    """Turn one configuration into a shape."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.architecture = config.architecture
        # A list of blocks says how many there are.
        listed = huggingface_hybrid.count(config)
        self.layers = listed or config.needed(*self.architecture.keys_of("layers"), most=MAX_LAYERS)
        self.hidden = config.needed(*self.architecture.keys_of("hidden"))
        self.heads = config.needed(*self.architecture.keys_of("heads"))
        self.max_positions = config.size(*self.architecture.keys_of("max_positions"))

    def shape(self) -> ModelShape:
        """Give the shape."""
        config, architecture = self.config, self.architecture
        self._refuse_what_a_shape_cannot_say()
        if architecture.position == "learned" and self.max_positions is None:
            raise config.missing(architecture.keys_of("max_positions"))
        latent = self._latent() if architecture.latent else None
        layer_types, window = self._window()
        falcon = config.model_type in {"falcon", *(name for name, known in ALIASES.items() if known == "falcon")}
        biased = architecture.bias_key is None or config.flag(architecture.bias_key)
        normalised = architecture.qk_norm_key is not None and config.flag(architecture.qk_norm_key)
        hybrid = huggingface_hybrid.parts(config, self.layers, self.hidden)
        return ModelShape(
            name=_name(config.file.name, config.data),
            family=architecture.family,
            layers=self.layers,
            hidden=self.hidden,
            heads=self.heads,
            kv_heads=self.heads if latent else self._falcon_key_heads() if falcon else self._key_heads(),
            head_dim=latent.nope_dim + latent.rope_dim if latent else self._head_dim(),
            ffn_hidden=self._feed_forward(),
            gated=architecture.gated,
            vocab=config.needed(*architecture.keys_of("vocab")),
            tied_embeddings=self._tied(),
            max_positions=self.max_positions,
            attention="mla" if latent else "full",
            mla=latent,
            experts=self._experts(architecture.experts) if architecture.experts else hybrid.experts,
            sliding_window=window,
            layer_types=hybrid.layer_types or layer_types,
            feed_forward_types=hybrid.feed_forward_types,
            linear=hybrid.linear,
            mamba=hybrid.mamba,
            gated_attention=architecture.hybrid == "delta",
            position="alibi" if falcon and config.flag("alibi") else architecture.position,
            bias=architecture.bias if biased else "none",
            norms_per_layer=self._falcon_norms() if falcon else architecture.norms_per_layer,
            norm_vectors=architecture.norm_vectors,
            qk_norm=architecture.qk_norm or normalised,
            source=f"{config.file.name} (Hugging Face, {config.model_type})",
            notes=self._notes(),
        )

    def _refuse_what_a_shape_cannot_say(self) -> None:
        config = self.config
        wanted = dict(self.architecture.only)
        wanted |= {key: config.data.get(other) for key, other in self.architecture.equal.items()}
        for key, only in wanted.items():
            found = config.data.get(key)
            if found is not None and found != only:
                problem = config.wrong(key, f"is {json.dumps(only)} in every {config.model_type} read here")
                mend = "write the shape itself under model:"
                raise NotYetError(problem.rule, problem.value, problem.where, mend)

    def _key_heads(self) -> int:
        keys = self.architecture.keys_of("kv_heads")
        found = self.config.size(*keys)
        if found is None and self.architecture.grouped and not any(key in self.config.data for key in keys):
            raise self.config.missing(keys)
        return self._dividing(keys[0], found or self.heads)

    def _falcon_key_heads(self) -> int:
        """Give the key heads of Falcon, whose older files say that all queries share one instead."""
        config = self.config
        if config.flag("new_decoder_architecture"):
            return self._dividing("num_kv_heads", config.size(*self.architecture.keys_of("kv_heads")) or self.heads)
        return 1 if config.flag("multi_query", default=True) else self.heads

    def _dividing(self, key: str, key_heads: int) -> int:
        if self.heads % key_heads:
            mend = f"a whole number of the {self.heads} query heads shares each of them"
            raise self.config.wrong(key, f"must divide the {self.heads} query heads", mend)
        return key_heads

    def _falcon_norms(self) -> int:
        """Count the norms of a Falcon layer: one for both halves where they stand side by side, else one for each."""
        config = self.config
        if not config.flag("parallel_attn", default=True):
            return 2
        return config.size("num_ln_in_parallel_attn", most=2) or (2 if config.flag("new_decoder_architecture") else 1)

    def _head_dim(self) -> int:
        found = self.config.size(*self.architecture.keys_of("head_dim"))
        if found is None and self.hidden % self.heads:
            rule = f"{self.hidden} is no multiple of {self.heads} heads, and there is no head_dim"
            raise self.config.file.wrong(self.config.inside, rule, "", "add head_dim, or mend the sizes")
        return found or self.hidden // self.heads

    def _feed_forward(self) -> int:
        keys = self.architecture.keys_of("ffn_hidden")
        if self.architecture.four_hidden:
            return self.config.size(*keys, most=4 * MAX_SIZE) or 4 * self.hidden
        return self.config.needed(*keys, most=4 * MAX_SIZE)

    def _tied(self) -> bool:
        config, key = self.config, "tie_word_embeddings"
        if key not in config.data and isinstance(config.tied_outside, bool):
            return config.tied_outside
        return config.flag(key, default=self.architecture.tied)

    def _latent(self) -> LatentAttention:
        optional, *needed = LATENT
        sizes = {name: self.config.needed(LATENT[name]) for name in needed}
        return LatentAttention(q_rank=self.config.size(LATENT[optional], least=0) or 0, **sizes)

    def _experts(self, keys: ExpertKeys) -> Experts | None:
        config = self.config
        found = config.size(*keys.count, least=0)
        if found is None and not any(key in config.data for key in keys.count):
            raise config.missing(keys.count)
        if not found:
            return None
        top_k = config.needed(*keys.top_k)
        if top_k > found:
            raise config.wrong(config.value(*keys.top_k)[0], f"must be at most the {found} experts there are")
        shared_ffn = self._count(keys.shared_ffn)
        return Experts(
            count=found,
            top_k=top_k,
            ffn_hidden=config.needed(keys.ffn),
            shared=int(shared_ffn > 0) if keys.shared_ffn else self._count(keys.shared),
            shared_ffn_hidden=shared_ffn or None,
            shared_gate=shared_ffn > 0,
            dense_layers=self._count(keys.dense_layers) + self._dense_listed(keys.dense_list),
            every=(config.size(keys.every) if keys.every else None) or 1,
        )

    def _count(self, key: str | None) -> int:
        """Give a number that may be null for none, but that no file leaves out."""
        if key is None:
            return 0
        found = self.config.size(key, least=0)
        if found is None and key not in self.config.data:
            raise self.config.missing((key,))
        return found or 0

    def _dense_listed(self, key: str | None) -> int:
        """Count the dense layers of a list, which are the first ones in every shape."""
        listed = self.config.data.get(key) if key else None
        if listed is None:
            return 0
        if not isinstance(listed, list) or listed != list(range(len(listed))):
            assert key is not None
            raise self.config.wrong(key, "must list the first layers, 0, 1, 2 and so on, or none")
        return len(listed)

    def _window(self) -> tuple[tuple[LayerType, ...] | None, int | None]:
        """Give the kinds of attention of the layers and their window; None twice where all layers see everything."""
        config, kind = self.config, self.architecture.window
        switched_off = "use_sliding_window" in self.architecture.defaults and not config.flag("use_sliding_window")
        if kind == "none" or switched_off:
            return None, None
        window = config.size("sliding_window", least=0)
        # A window as long as the longest sequence hides nothing.
        if not window or (self.max_positions is not None and window >= self.max_positions):
            return None, None
        types = self._listed_types() or self._usual_types()
        if "sliding" not in types:
            return None, None
        return huggingface_hybrid.shortest_period(types), window

    def _listed_types(self) -> tuple[LayerType, ...] | None:
        config = self.config
        listed = config.data.get("layer_types")
        if listed is None:
            return None
        if not isinstance(listed, list) or len(listed) != self.layers:
            raise config.wrong("layer_types", f"must list all {self.layers} layers")
        for found in listed:
            if not isinstance(found, str) or found not in _ATTENTION:
                rule = f"has '{brief(found)}', which {config.model_type} has no layers of"
                raise config.wrong("layer_types", rule, f"known are {' and '.join(map(str, _ATTENTION))}")
        return tuple(_ATTENTION[found] for found in listed)

    def _usual_types(self) -> tuple[LayerType, ...]:
        """Give the kinds of layers as the architecture has them where the file lists none."""
        config, kind = self.config, self.architecture.window
        if kind == "listed":
            raise config.missing(("layer_types",))
        sliding: tuple[LayerType, ...] = ("sliding",)
        full: tuple[LayerType, ...] = ("full",)
        if kind == "pattern":
            every = config.needed("_sliding_window_pattern", "sliding_window_pattern", most=MAX_LAYERS)
            return sliding * (every - 1) + full
        if kind == "upper":
            below = min(config.needed("max_window_layers", least=0), self.layers)
            return full * below + sliding * (self.layers - below)
        return sliding if kind == "all" else sliding + full

    def _notes(self) -> str | None:
        config = self.config
        notes = [self.architecture.note or ""]
        if config.inside:
            notes.append(f"The text part alone: {'.'.join(config.inside)}.")
            left_out = [f"{key} {size}" for key, size in self.architecture.nested.items() if key not in config.data]
            if left_out and config.is_difference:
                notes.append(f"Left out in the file, so by the defaults of {config.model_type}: {', '.join(left_out)}.")
        return " ".join(filter(None, notes)) or None


def _name(file: str, data: dict[str, Any]) -> str:
    """Name a shape after its file, the folder of a file that is called config, or what the file says."""
    path = Path(file).absolute()
    parts = [path.stem if path.stem != "config" else path.parent.name]
    if _SNAPSHOT.fullmatch(parts[0]):
        # The cache of the hub keeps a model under models--OWNER--NAME/snapshots/COMMIT.
        parts = [parent.name.split("--")[-1] for parent in path.parents if parent.name.startswith("models--")]
    told = data.get("_name_or_path")
    parts += [told.rstrip("/").rpartition("/")[2]] if isinstance(told, str) else []
    slugs = ("-".join(_WORDS.findall(part[:_LONGEST_NAME].lower())) for part in parts)
    return next(filter(None, slugs), "imported")
