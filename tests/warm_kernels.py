"""Every kernel that many tests call, compiled once and before them: `python -m tests.warm_kernels`.

Workers side by side would otherwise compile the same ones at the same time.
"""

from __future__ import annotations

from liqfield.app.study.cascade_world import WorldSettings, run_world
from liqfield.app.warm import warm

if __name__ == "__main__":
    warm()
    # The built-in market, read by an engine: the other half.
    run_world(1, WorldSettings(warm_s=70, episodes=1, episode_s=30, history_h=0.1))
