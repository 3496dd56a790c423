/** The ladder as rows on an absolute lattice: row k covers [k step, (k + 1) step). Pure. */
import type { Ladder, WallRow } from "../wire/types";

export const ROW_PX = 24;
export const HEAD_PX = 24;
export const SPREAD_PX = 34;

export const mid = (l: Ladder): number => (l.bestBid + l.bestAsk) / 2;
export const firstRow = (l: Ladder): number => Math.round(l.firstPrice / l.step);
/** The row that holds the mid: it and lower ones stand below the spread line. */
export const midRow = (l: Ladder): number => Math.floor(mid(l) / l.step + 1e-9);

export interface Frame {
  readonly top: number;
  readonly rows: number;
  /** the row below which the spread line stands; outside the frame it is not drawn */
  readonly split: number;
}

/** Rows on a screen of `height` px with row `anchor` in the middle. */
export function frameOf(l: Ladder, anchor: number, height: number): Frame {
  const rows = Math.max(1, Math.floor((height - HEAD_PX - SPREAD_PX) / ROW_PX));
  return { top: anchor + Math.floor(rows / 2), rows, split: midRow(l) };
}

export const yOfRow = (f: Frame, k: number): number => HEAD_PX + (f.top - k) * ROW_PX + (k <= f.split && f.split < f.top + 1 ? SPREAD_PX : 0);

export function rowAtY(f: Frame, y: number): number | null {
  const cut = HEAD_PX + (f.top - f.split) * ROW_PX;
  const hasSplit = f.split <= f.top;
  if (y < HEAD_PX || (hasSplit && y >= cut && y < cut + SPREAD_PX)) return null;
  return f.top - Math.floor((y - HEAD_PX - (hasSplit && y >= cut ? SPREAD_PX : 0)) / ROW_PX);
}

/**
 * Rows stand still while the price moves, as eyes need them to; the frame follows only when the price
 * leaves its middle half.
 */
export function anchored(anchor: number | null, l: Ladder, height: number): number {
  const at = midRow(l);
  const { rows } = frameOf(l, at, height);
  return anchor === null || Math.abs(at - anchor) > rows / 4 ? at : anchor;
}

const IMPORTANCE: Readonly<Record<string, number>> = { pulled: 4, held: 3, filled: 2, partly_filled: 2, growing: 1, standing: 1 };

const STANDING_SHOWN = 5;

/**
 * By row the wall that says most. Of walls that merely stand the largest of each side: where everything
 * is marked nothing is.
 */
export function wallsByRow(l: Ladder): Map<string, WallRow> {
  const out = new Map<string, WallRow>();
  const stands = (w: WallRow): boolean => w.state === "standing" || w.state === "growing";
  const largest = [true, false].flatMap((bid) => (l.walls ?? []).filter((w) => stands(w) && w.isBid === bid).sort((a, b) => b.usd - a.usd).slice(0, STANDING_SHOWN));
  for (const wall of [...(l.walls ?? []).filter((w) => !stands(w)), ...largest]) {
    const key = `${Math.floor(wall.price / l.step + 1e-9)}${wall.isBid ? "b" : "a"}`;
    const held = out.get(key);
    const rank = (w: WallRow): number => (IMPORTANCE[w.state] ?? 0) * 1000 + w.multiple;
    if (!held || rank(wall) > rank(held)) out.set(key, wall);
  }
  return out;
}

export function wallBadge(w: WallRow): string {
  // Past fifty the number says how thin the usual is, not how large the wall: the row's card has it.
  const times = w.multiple > 50 ? ">50×" : `${w.multiple >= 9.95 ? w.multiple.toFixed(0) : w.multiple.toFixed(1)}×`;
  switch (w.state) {
    case "held": return `held ${times}`;
    case "pulled": return "pulled";
    case "filled": return "filled";
    case "partly_filled": return `hit ${times}`;
    case "growing": return `${times} ↑`;
    default: return times;
  }
}

/** The next step of 1, 2, 5 x 10^n. */
export function nextStep(step: number, coarser: boolean): number {
  const power = 10 ** Math.floor(Math.log10(step) + 1e-9);
  const lead = Math.round(step / power);
  const next = coarser ? (lead < 2 ? 2 : lead < 5 ? 5 : 10) * power : (lead > 5 ? 5 : lead > 2 ? 2 : lead > 1 ? 1 : 0.5) * power;
  return Number(next.toPrecision(6));
}

export interface Way {
  /** resting and forced USD from the mid to the row, it included */
  readonly restingUsd: number;
  readonly forcedUsd: number;
}

/** What stands and what is forced between the mid and row k. */
export function wayTo(l: Ladder, k: number): Way {
  const from = firstRow(l);
  const at = midRow(l);
  const below = k <= at;
  let restingUsd = 0;
  let forcedUsd = 0;
  for (let row = Math.min(k, below ? at : at + 1); row <= Math.max(k, at); row++) {
    const i = row - from;
    restingUsd += ((below ? l.bid : l.ask)[i] ?? 0) * (row + 0.5) * l.step;
    forcedUsd += (below ? l.longUsd : l.shortUsd)[i] ?? 0;
  }
  return { restingUsd, forcedUsd };
}

/** The last minute of every row on screen, for the sparkline of a tapped one. */
export class RowHistory {
  private samples: { atMs: number; step: number; first: number; bid: readonly number[]; ask: readonly number[] }[] = [];

  add(l: Ladder): void {
    const last = this.samples.at(-1);
    if (last && (last.step !== l.step || l.atMs < last.atMs)) this.samples = [];
    if (last && l.atMs - last.atMs < 450) return;
    this.samples.push({ atMs: l.atMs, step: l.step, first: firstRow(l), bid: l.bid, ask: l.ask });
    while (this.samples.length > 130) this.samples.shift();
  }

  /** [ms, coins of bid + ask] of row k, oldest first. */
  of(k: number): [number, number][] {
    return this.samples.map((s) => [s.atMs, (s.bid[k - s.first] ?? 0) + (s.ask[k - s.first] ?? 0)]);
  }
}
