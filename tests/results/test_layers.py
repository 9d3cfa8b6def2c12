"""The modules of sim.results depend on each other in one direction."""

import ast
from pathlib import Path

import networkx as nx

FOLDER = Path(__file__).resolve().parents[2] / "sim" / "results"


def test_no_module_depends_on_itself_through_others() -> None:
    """Imports inside functions and for types count too: whoever reads one module needs to know the other."""
    graph = nx.DiGraph()
    for file in FOLDER.rglob("*.py"):
        name = "sim.results." + file.relative_to(FOLDER).with_suffix("").as_posix().replace("/", ".")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sim.results"):
                graph.add_edge(name, node.module)
    circles = [sorted(part) for part in nx.strongly_connected_components(graph) if len(part) > 1]
    assert not circles
