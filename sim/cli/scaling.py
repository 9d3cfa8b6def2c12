"""`sim show scaling`: the scaling laws, what they ask for at each budget, and the loss to expect."""

from __future__ import annotations

from sim.cli import output
from sim.cli.columns import Columns

BUDGETS = (1e21, 1e22, 1e23, 1e24, 1e25, 3.8e25, 1e26, 1e27)


def show_scaling(*, json: bool) -> None:
    """Print each law with its source and range, and a table of budgets."""
    from sim.cost.scaling import LAWS, LOSS_SOURCE, expected_loss
    from sim.results.words import amount

    rows = []
    for flop in BUDGETS:
        for law in LAWS.values():
            tokens, parameters = law.tokens(flop), law.parameters(flop)
            rows.append((flop, law, parameters, tokens, expected_loss(parameters, tokens)))
    if json:
        output.write_json(
            {
                "laws": [
                    {
                        "name": law.name,
                        "anchor_flop": law.anchor_flop,
                        "anchor_tokens": law.anchor_tokens,
                        "exponent": law.exponent,
                        "least_flop": law.least_flop,
                        "most_flop": law.most_flop,
                        "source": law.source,
                    }
                    for law in LAWS.values()
                ],
                "loss_source": LOSS_SOURCE,
                "budgets": [
                    {
                        "flop": flop,
                        "law": law.name,
                        "parameters": parameters,
                        "tokens": tokens,
                        "loss": {"value": loss.value, "p10": loss.p10, "p90": loss.p90, "in_range": loss.in_range},
                    }
                    for flop, law, parameters, tokens, loss in rows
                ],
            }
        )
        return
    output.write("Compute-optimal: tokens D = D0 (C / C0)^a, parameters N = C / 6D.")
    output.write("")
    drawing = Columns()
    for heading in ("budget, FLOP", "law", "parameters", "tokens", "D/N", "loss", "80 %", ""):
        drawing.add_column(heading, justify="left" if heading in ("law", "") else "right")
    for flop, law, parameters, tokens, loss in rows:
        inside = law.least_flop <= flop <= law.most_flop and loss.in_range
        drawing.add_row(
            amount(flop),
            law.name,
            amount(parameters),
            amount(tokens),
            amount(tokens / parameters),
            f"{loss.value:.2f}",
            f"{loss.p10:.2f}-{loss.p90:.2f}",
            "" if inside else "beyond fit",
        )
    drawing.draw()
    output.write("")
    for law in LAWS.values():
        span = f"fitted from {amount(law.least_flop)} to {amount(law.most_flop)} FLOP"
        output.write(output.wrapped(f"{law.source}; {span}.", f"{law.name}: "))
    output.write(output.wrapped(f"{LOSS_SOURCE}.", "loss: "))
    output.write("")
    output.write("Over-training is a choice: sim howlong 1024xh100-sxm --params 8e9 --tokens 15e12")
