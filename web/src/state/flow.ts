/** The Flow panel's arrays cut and grouped for a screen. Pure. */
import type { Flow, FootprintRow, TapeRow } from "../wire/types";

export interface Stretch {
  /** index of the first bucket inside */
  readonly from: number;
  readonly t0: number;
  readonly t1: number;
}

/** The last `spanMs` of the day's buckets; 0 = all of it. */
export function stretch(flow: Flow, spanMs: number): Stretch {
  const t1 = (flow.startMs.at(-1) ?? flow.atMs) + flow.bucketMs;
  const first = flow.startMs[0] ?? t1 - flow.bucketMs;
  const t0 = spanMs > 0 ? Math.max(first, t1 - spanMs) : first;
  const at = flow.startMs.findIndex((ms) => ms + flow.bucketMs > t0);
  return { from: Math.max(0, at), t0, t1: Math.max(t1, t0 + 1) };
}

export function extent(values: readonly number[], from: number): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (let i = from; i < values.length; i++) {
    const v = values[i] ?? 0;
    if (v < low) low = v;
    if (v > high) high = v;
  }
  if (low > high) return [0, 1];
  const pad = (high - low || Math.abs(high) * 1e-4 || 1) * 0.08;
  return [low - pad, high + pad];
}

/** Forced dollars by slot of time: [longs, shorts] each. */
export function forcedBy(tape: readonly TapeRow[], t0: number, t1: number, slots: number): [Float64Array, Float64Array] {
  const out: [Float64Array, Float64Array] = [new Float64Array(slots), new Float64Array(slots)];
  for (const r of tape) {
    if (r.atMs < t0 || r.atMs >= t1) continue;
    const slot = Math.min(slots - 1, Math.floor(((r.atMs - t0) / (t1 - t0)) * slots));
    const side = out[r.side === "long" ? 0 : 1];
    side[slot] = (side[slot] ?? 0) + r.usd;
  }
  return out;
}

export interface Cell {
  readonly bid: number;
  readonly ask: number;
  readonly imbalance: number;
}

export interface GroupedBar {
  readonly bar: FootprintRow;
  /** by absolute row of the grouped step */
  readonly cells: ReadonlyMap<number, Cell>;
  readonly poc: number;
  readonly valueLow: number;
  readonly valueHigh: number;
  readonly delta: number;
  readonly volume: number;
}

export interface Footprint {
  readonly step: number;
  readonly low: number;
  readonly high: number;
  readonly bars: readonly GroupedBar[];
  readonly largest: number;
}

/** The last `count` bars on one lattice of at most `rows` rows: sizes add up, nothing is lost. */
export function footprint(bars: readonly FootprintRow[], count: number, rows: number): Footprint | null {
  const used = bars.slice(-count).filter((b) => b.bid.length > 0);
  const first = used[0];
  if (!first) return null;
  const low = Math.min(...used.map((b) => Math.round((b.firstRow * b.step) / first.step)));
  const high = Math.max(...used.map((b) => Math.round(((b.firstRow + b.bid.length) * b.step) / first.step)));
  const by = [1, 2, 5, 10, 20, 50, 100, 200, 500].find((g) => (high - low) / g <= rows) ?? 1000;
  let largest = 1e-9;
  const grouped = used.map((bar): GroupedBar => {
    const cells = new Map<number, { bid: number; ask: number; imbalance: number }>();
    let delta = 0;
    let volume = 0;
    for (let i = 0; i < bar.bid.length; i++) {
      const k = Math.floor(Math.round(((bar.firstRow + i) * bar.step) / first.step) / by);
      const cell = cells.get(k) ?? { bid: 0, ask: 0, imbalance: 0 };
      cell.bid += bar.bid[i] ?? 0;
      cell.ask += bar.ask[i] ?? 0;
      cell.imbalance += bar.imbalance[i] ?? 0;
      cells.set(k, cell);
      delta += (bar.ask[i] ?? 0) - (bar.bid[i] ?? 0);
      volume += (bar.ask[i] ?? 0) + (bar.bid[i] ?? 0);
    }
    for (const c of cells.values()) largest = Math.max(largest, c.bid, c.ask);
    const at = (row: number): number => Math.floor(Math.round((row * bar.step) / first.step) / by);
    return { bar, cells, poc: at(bar.pocRow), valueLow: at(bar.valueLowRow), valueHigh: at(bar.valueHighRow), delta, volume };
  });
  return { step: first.step * by, low: Math.floor(low / by), high: Math.floor((high - 1) / by), bars: grouped, largest };
}

export const SHAPES: Readonly<Record<string, string>> = {
  absorption: "◆", wall_pulled: "✕", wall_filled: "■", layering: "≡", flip: "⇄", whale_push: "➤", stacked_imbalance: "☰", cascade: "⚡",
};
