"""A precision recipe: which products run in which format, how wide each kept number is, and what is exchanged."""

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from sim.spec import catalog
from sim.spec.hardware import Generation, Precision, Slug
from sim.spec.quantity import FrozenModel, SourcedBytes, SourcedFraction, refusal
from sim.spec.short_forms import NameOf


def _like_or_whole(schema: dict[str, Any]) -> None:
    """Tell an editor that a recipe names another one, or says all itself."""
    whole = schema.pop("required")
    schema |= {"required": ["name"], "anyOf": [{"required": ["like"]}, {"required": whole}]}


class PrecisionRecipe(FrozenModel):
    """A mixed-precision training recipe; bytes are of one parameter or of one element."""

    model_config = ConfigDict(json_schema_extra=_like_or_whole)

    name: Slug
    """Name in the catalogue; the file has the same name."""
    title: str = ""
    """Name as people write it."""
    like: Slug | None = None
    """Recipe that it is a kind of: what is not said here is as there, the constants of software profiles too."""
    generations: tuple[Generation, ...] = ()
    """Generations of chips whose matrix units know the format; none: all that have a peak for it."""
    products: Precision
    """Format of the products with the weights of layers; MFU is against the dense peak of this one."""
    wide: Precision
    """16-bit format of attention and of the LM head."""
    wide_layers: SourcedFraction | None = None
    """Share of the layers whose products stay in the 16-bit format too; none: no layer."""
    curve: Annotated[str, Field(pattern=r"^[a-z0-9_]+$", max_length=32)]
    """Format whose curve of the chip's calibration times the products."""
    operand_bytes: SourcedBytes
    """An operand of a product, with its share of a scale."""
    cast_bytes: SourcedBytes
    """Moved to turn one 16-bit element into an operand."""
    weight_bytes: SourcedBytes
    """A weight on its device."""
    gathered_bytes: SourcedBytes | None = None
    """A weight as replicas gather it (ZeRO, FSDP); none: as wide as on its device."""
    gradient_bytes: SourcedBytes
    """A gradient as it is added up and reduced, unless the software profile says otherwise."""
    optimizer_bytes: SourcedBytes
    """Master weight and moments of the optimizer."""
    activation_bytes: SourcedBytes
    """An element kept for the backward pass, or exchanged by tensor, context and pipeline parallelism."""
    dispatched_bytes: SourcedBytes | None = None
    """An element of a token on its way to experts; the way back is as wide as activations. None: as activations."""
    frozen_bytes: SourcedBytes
    """A weight that is not trained (LoRA)."""
    notes: str | None = None
    """What a reader has to know about these numbers."""

    @model_validator(mode="before")
    @classmethod
    def _as_another(cls, data: object) -> object:
        """Take what is not said from the recipe that it is like."""
        if not isinstance(data, dict) or not isinstance(data.get("like"), str):
            return data
        if data["like"] == data.get("name"):
            raise refusal("a recipe is like another one", data["like"], "name another recipe, or leave like out")
        base = catalog.load("recipes", known_recipe(data["like"]))
        own = {key: getattr(base, key) for key in type(base).model_fields if key not in _OWN}
        return own | data


def known_recipe(name: str) -> str:
    """Give the name of a recipe back.

    Raises:
        PydanticCustomError: the catalogue has none of that name; says which there are.

    """
    if name not in catalog.names("recipes"):
        rule, mend = "precision must name a training recipe", f"one of {', '.join(catalog.names('recipes'))}"
        raise refusal(rule, name[:_LONGEST_NAME], mend)
    return name


def read_recipe(value: object) -> object:
    """Refuse a name that the catalogue lacks; leave mappings to the schema."""
    return known_recipe(value) if isinstance(value, str) else value


_OWN = ("name", "title", "like", "notes")
"""What a recipe does not take from the one that it is like."""
_LONGEST_NAME = 64
RecipeField = Annotated[Annotated[Slug, NameOf("recipes")] | PrecisionRecipe, BeforeValidator(read_recipe)]
"""A recipe of the catalogue by its name, or one of the user's own."""
