/** What the server wrote into the page: the market, its clusters and the default view of the map. */
import type { Candle } from "../state/candles";
import { decodeTile, inflate } from "../wire/tile";
import type { First } from "../wire/types";
import { columnOf, place } from "../worker/place";
import type { MapNow, PlacedTile } from "../worker/protocol";

export interface Picture {
  readonly tile: PlacedTile;
  /** its newest column */
  readonly now: MapNow;
  readonly candles: readonly Candle[];
  readonly candleS: number;
}

export function carried(): First | null {
  const text = document.getElementById("first")?.textContent;
  return text ? (JSON.parse(text) as First) : null;
}

/** null: there was no map yet when the page was made. */
export async function unpack(first: First): Promise<Picture | null> {
  if (!first.tile) return null;
  const bytes = Uint8Array.from(atob(first.tile), (c) => c.charCodeAt(0));
  const tile = decodeTile(await inflate(bytes));
  const all = { sides: [true, true], bands: [true, true, true], venue: "all" } as const;
  // It lies on no tile of the pyramid: its name is its own.
  const key = { columnS: first.candleS, level: 0, timeIndex: -1, priceIndex: -1 };
  return { tile: place(tile, key, { filters: all }), now: columnOf(tile, tile.columns - 1), candles: first.candles, candleS: first.candleS };
}
