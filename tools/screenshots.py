"""Play the workbench's scenes in the real window, on synthetic slides, and photograph each.

    python tools/screenshots.py --demo demo --output docs/images

Uses slides and model of examples/demo.py, which it makes where they are missing. Scenes can be
named after the options; without a display they run under a virtual one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from scenes import SCENES, Stage

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", type=Path, default=ROOT / "demo", help="folder of the demo")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("scenes", nargs="*", help=f"of {', '.join(SCENES)}; none: all")
    options = parser.parse_args()
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        virtual = ["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24"]
        return subprocess.run([*virtual, sys.executable, *sys.argv], check=False).returncode
    unknown = set(options.scenes) - set(SCENES)
    if unknown:
        parser.error(f"no scene {', '.join(sorted(unknown))}; there are {', '.join(SCENES)}")
    import demo

    training, _ = demo.make_slides(options.demo / "slides")
    demo.train(options.demo, training)
    options.output.mkdir(parents=True, exist_ok=True)
    stage = Stage(options.demo.resolve(), options.output.resolve())
    os.chdir(options.demo)
    with tempfile.TemporaryDirectory(dir=".", prefix="tour_") as folder:
        # Heads and probes are written into the model folder: into a copy. Features of an earlier
        # play would end the run before it can be seen.
        os.environ["XDG_CACHE_HOME"] = str(Path(folder).resolve() / "cache")
        stage.model = Path(shutil.copytree(stage.model, Path(folder).resolve() / "model"))
        for name in options.scenes or SCENES:
            print(name, flush=True)
            try:
                SCENES[name](stage)
            finally:
                stage.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
