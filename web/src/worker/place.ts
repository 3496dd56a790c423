/** A tile as it is drawn, and one moment out of it. */
import { cellUsd, PLANES, planesOf, sumPlanes, type Tile } from "../wire/tile";
import type { MapNow, PlacedTile, TileKey, TileView } from "./protocol";

export function place(tile: Tile, key: TileKey, view: Pick<TileView, "filters">): PlacedTile {
  const cells = sumPlanes(tile, planesOf(view.filters.sides, view.filters.bands));
  const { startMs, columnMs, columns, bins, firstBin, binWidth, floorUsd, topUsd } = tile;
  return { ...key, startMs, columnMs, columns, bins, firstBin, binWidth, floorUsd, topUsd, cells };
}

/** One column of a tile as the map of a moment. */
export function columnOf(tile: Tile, column: number): MapNow {
  const { bins, columns, firstBin, binWidth, mark } = tile;
  const dollars = cellUsd(tile.floorUsd, tile.topUsd);
  const usd = new Float32Array(PLANES * bins);
  for (let p = 0; p < PLANES; p++) {
    const from = (p * columns + column) * bins;
    for (let k = 0; k < bins; k++) usd[p * bins + k] = dollars[tile.cells[from + k] ?? 0] ?? 0;
  }
  return { usd, bins, firstBin, binWidth, mark };
}
