/** What the page and its worker say to each other. */
import type { ServerMessage } from "../wire/types";

export interface Filters {
  readonly venue: string;
  readonly sides: readonly [boolean, boolean];
  readonly bands: readonly [boolean, boolean, boolean];
}

export interface TileKey {
  readonly columnS: number;
  readonly level: number;
  readonly timeIndex: number;
  readonly priceIndex: number;
}

/** Which stretch of the map is on screen, in widths the server has. */
export interface TileView {
  readonly base: string;
  readonly filters: Filters;
  readonly tiles: readonly TileKey[];
}

/** The map of one moment: [side * 3 + band][bin], USD. */
export interface MapNow {
  readonly usd: Float32Array;
  readonly bins: number;
  readonly firstBin: number;
  readonly binWidth: number;
  readonly mark: number;
}

export interface Reading {
  readonly atMs: number;
  readonly price: number;
  readonly low: number;
  readonly high: number;
  readonly columnS: number;
  readonly level: number;
  readonly columnEndMs: number;
  /** [side][band], USD */
  readonly usd: readonly [readonly number[], readonly number[]];
  /** the whole column under the crosshair, as far as it is on screen */
  readonly column: MapNow;
}

/** Rows of `step` USD, 0 = automatic; of one venue, "" = all. */
export interface LadderWish {
  readonly step: number;
  readonly rows: number;
  readonly venue: string;
}

/** What a reader may choose of its topics. leastUsd: of a cluster, 0 = what counts in this market. */
export interface Wish {
  readonly ladder: LadderWish;
  readonly leastUsd: number;
}

export type ToWorker =
  | { k: "open"; url: string; origin: string }
  | { k: "topics"; topics: readonly string[]; wish: Wish }
  | { k: "view"; view: TileView; blank: boolean }
  | { k: "expect"; names: readonly string[] }
  | { k: "seed"; name: string; bytes: ArrayBuffer | null; etag: string }
  | { k: "read"; id: number; atMs: number; price: number }
  | { k: "wake" };

export interface PlacedTile extends TileKey {
  readonly startMs: number;
  readonly columnMs: number;
  readonly columns: number;
  readonly bins: number;
  readonly firstBin: number;
  readonly binWidth: number;
  /** the tile's own scale: what the cell values 2 and 255 mean, USD */
  readonly floorUsd: number;
  readonly topUsd: number;
  readonly cells: Uint8Array;
}

export type FromWorker =
  | { k: "status"; state: "connecting" | "open" | "closed"; retryMs: number }
  | { k: "message"; message: ServerMessage }
  | { k: "tile"; tile: PlacedTile }
  | { k: "forget" }
  | { k: "loading"; open: number; failed: string }
  | { k: "live"; tile: PlacedTile; now: MapNow }
  | { k: "reading"; id: number; reading: Reading | null };
