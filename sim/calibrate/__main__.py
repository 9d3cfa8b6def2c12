"""Make a committed calibration file again: `python -m sim.calibrate NAME [--data FOLDER]`."""

from __future__ import annotations

import argparse
from pathlib import Path

from sim.calibrate.write import regenerate
from sim.spec import catalog


def main() -> None:
    """Write hardware_specs/calibration/NAME.yaml from the tables of measurements in a folder."""
    parser = argparse.ArgumentParser(prog="python -m sim.calibrate", description=__doc__)
    parser.add_argument("name", help="family, such as h100-sxm")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/ops"), help="folder of the tables")
    chosen = parser.parse_args()
    folder = catalog.path("accelerators", "h100-sxm").parent.parent / "calibration"
    (folder / f"{chosen.name}.yaml").write_text(regenerate(chosen.name, chosen.data, folder), encoding="utf-8")


if __name__ == "__main__":
    main()
