/** Tiles: what is asked for, what is kept, and what a crosshair reads out of them. */
import { cellUsd, decodeTile, hasColumn, PLANES, type Tile } from "../wire/tile";
import { place } from "./place";
import type { FromWorker, MapNow, Reading, TileKey, TileView } from "./protocol";

const KEPT = 400;
const FRESH_MS = 10_000;
const PARALLEL = 6;

interface Held {
  key: TileKey;
  tile: Tile | null;
  fetchedMs: number;
  etag: string;
}

export class TileCache {
  private held = new Map<string, Held>();
  private queue: { name: string; key: TileKey }[] = [];
  private open = 0;
  private view: TileView | null = null;
  private dataset = "";
  private failed = "";
  /** Asked for by the page itself, before this worker ran. */
  private expected = new Set<string>();

  constructor(
    private readonly post: (message: FromWorker, transfer?: Transferable[]) => void,
    private readonly origin: () => string,
  ) {}

  setDataset(dataset: string): void {
    if (this.dataset && this.dataset !== dataset) this.clear();
    this.dataset = dataset;
  }

  /** Show these tiles: those that are here at once, the others as they come. blank: the page holds none. */
  show(view: TileView, blank = false): void {
    const before = blank ? null : this.view;
    this.view = view;
    const same = before !== null && before.base === view.base && JSON.stringify(before.filters) === JSON.stringify(view.filters);
    if (!same) this.post({ k: "forget" });
    const shown = new Set(same && before ? before.tiles.map((key) => this.name(key)) : []);
    this.queue = [];
    const now = Date.now();
    for (const key of view.tiles) {
      const name = this.name(key);
      const held = this.held.get(name);
      if (held) {
        this.held.delete(name);
        this.held.set(name, held); // newest last: the oldest are dropped first
        if (!shown.has(name)) this.send(held);
      }
      if (this.expected.has(name)) continue;
      if (!held || (!held.tile?.complete && now - held.fetchedMs > FRESH_MS)) this.queue.push({ name, key });
    }
    this.pump();
  }

  expect(names: readonly string[]): void {
    for (const name of names) this.expected.add(name);
  }

  /** What became of an expected tile; null: ask for it again. */
  seed(name: string, bytes: ArrayBuffer | null, etag: string): void {
    this.expected.delete(name);
    const [columnS, level, timeIndex, priceIndex] = name.split("/").slice(2).map(Number);
    if (bytes && columnS !== undefined && level !== undefined && timeIndex !== undefined && priceIndex !== undefined) {
      this.keep({ key: { columnS, level, timeIndex, priceIndex }, tile: decodeTile(bytes), fetchedMs: Date.now(), etag }, name);
    } else this.refresh();
  }

  /** Running tiles grow: ask again for those on screen. */
  refresh(): void {
    if (this.view) this.show(this.view);
  }

  clear(): void {
    this.held.clear();
    this.post({ k: "forget" });
  }

  /** The cell under a time and a price, from the finest tile that has it. */
  read(atMs: number, price: number): Reading | null {
    if (!this.view) return null;
    const keys = [...this.view.tiles].sort((a, b) => a.columnS - b.columnS || a.level - b.level);
    for (const key of keys) {
      const tile = this.held.get(this.name(key))?.tile;
      if (!tile) continue;
      const column = Math.floor((atMs - tile.startMs) / tile.columnMs);
      const bin = Math.floor(Math.log(price) / tile.binWidth) - tile.firstBin;
      if (column < 0 || column >= tile.columns || bin < 0 || bin >= tile.bins) continue;
      const usd = readCell(tile, column, bin);
      if (!usd) continue;
      const low = Math.exp((tile.firstBin + bin) * tile.binWidth);
      const high = Math.exp((tile.firstBin + bin + 1) * tile.binWidth);
      const columnEndMs = tile.startMs + (column + 1) * tile.columnMs;
      return { atMs, price, low, high, columnS: key.columnS, level: key.level, columnEndMs, usd, column: this.column(key, column) };
    }
    return null;
  }

  /** One column of all price tiles on screen, joined upwards. */
  private column(key: TileKey, column: number): MapNow {
    const tiles = (this.view?.tiles ?? [])
      .filter((k) => k.columnS === key.columnS && k.level === key.level && k.timeIndex === key.timeIndex)
      .flatMap((k) => this.held.get(this.name(k))?.tile ?? [])
      .sort((a, b) => a.firstBin - b.firstBin);
    const first = tiles[0];
    const last = tiles.at(-1);
    if (!first || !last) return { usd: new Float32Array(0), bins: 0, firstBin: 0, binWidth: 1, mark: 0 };
    const bins = last.firstBin + last.bins - first.firstBin;
    const usd = new Float32Array(PLANES * bins);
    for (const tile of tiles) {
      const dollars = cellUsd(tile.floorUsd, tile.topUsd);
      for (let p = 0; p < PLANES; p++) {
        const from = (p * tile.columns + column) * tile.bins;
        const to = p * bins + tile.firstBin - first.firstBin;
        for (let k = 0; k < tile.bins; k++) usd[to + k] = dollars[tile.cells[from + k] ?? 0] ?? 0;
      }
    }
    return { usd, bins, firstBin: first.firstBin, binWidth: first.binWidth, mark: 0 };
  }

  private name(key: TileKey): string {
    const v = this.view;
    return `${v?.base}/${v?.filters.venue}/${key.columnS}/${key.level}/${key.timeIndex}/${key.priceIndex}`;
  }

  private pump(): void {
    while (this.open < PARALLEL && this.queue.length) {
      const next = this.queue.shift();
      if (next) void this.fetch(next.name, next.key);
    }
    this.post({ k: "loading", open: this.open + this.queue.length, failed: this.failed });
  }

  private async fetch(name: string, key: TileKey): Promise<void> {
    this.open++;
    const before = this.held.get(name);
    try {
      const query = this.dataset ? `?dataset=${encodeURIComponent(this.dataset)}` : "";
      const headers: HeadersInit = before?.etag ? { "If-None-Match": before.etag } : {};
      const reply = await fetch(`${this.origin()}/api/v1/tiles/${name}${query}`, { headers });
      const etag = reply.headers.get("ETag") ?? "";
      if (reply.status === 304 && before) {
        before.fetchedMs = Date.now();
      } else if (reply.ok) {
        this.keep({ key, tile: decodeTile(await reply.arrayBuffer()), fetchedMs: Date.now(), etag }, name);
      } else if (reply.status === 404) {
        this.keep({ key, tile: null, fetchedMs: Date.now(), etag: "" }, name);
      } else {
        this.failed = `map: the server answered ${reply.status}`;
      }
      if (reply.ok || reply.status === 404 || reply.status === 304) this.failed = "";
    } catch (error) {
      this.failed = `map: ${error instanceof Error ? error.message : String(error)}`;
    }
    this.open--;
    this.pump();
  }

  private keep(held: Held, name: string): void {
    this.held.set(name, held);
    for (const oldest of this.held.keys()) {
      if (this.held.size <= KEPT) break;
      this.held.delete(oldest);
    }
    if (this.view?.tiles.some((key) => this.name(key) === name)) this.send(held);
  }

  private send(held: Held): void {
    if (!held.tile || !this.view) return;
    const tile = place(held.tile, held.key, this.view);
    this.post({ k: "tile", tile }, [tile.cells.buffer as ArrayBuffer]);
  }
}

/** [side][band] USD of one cell; null where the column does not exist. */
export function readCell(tile: Tile, column: number, bin: number): [number[], number[]] | null {
  if (!hasColumn(tile, column)) return null;
  const usd = cellUsd(tile.floorUsd, tile.topUsd);
  const plane = tile.columns * tile.bins;
  const out: [number[], number[]] = [[], []];
  for (let p = 0; p < PLANES; p++) {
    const v = tile.cells[p * plane + column * tile.bins + bin] ?? 0;
    (p < 3 ? out[0] : out[1]).push(usd[v] ?? 0);
  }
  return out;
}
