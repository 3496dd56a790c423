/** The window onto the map: time in ms, price in log. Pure arithmetic, no DOM. */
import type { TileKey } from "../worker/protocol";

export interface Viewport {
  readonly t0: number;
  readonly t1: number;
  /** log-price at the bottom and at the top */
  readonly y0: number;
  readonly y1: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export const COLUMN_S = [10, 60, 300, 1800, 7200, 43200] as const;
export const BIN_WIDTH = 0.0005;
export const LEVELS = [1, 4] as const; // level-0 bins in one bin
const TILE_COLUMNS = 64;
const TILE_BINS = 256;
const MIN_SPAN_MS = 4 * 60_000;
const MAX_SPAN_MS = 366 * 86_400_000;
const MIN_SPAN_Y = 0.002;
const MAX_SPAN_Y = 2;

export const xOf = (v: Viewport, s: Size, ms: number): number => ((ms - v.t0) / (v.t1 - v.t0)) * s.width;
export const yOf = (v: Viewport, s: Size, price: number): number => ((v.y1 - Math.log(price)) / (v.y1 - v.y0)) * s.height;
export const msOf = (v: Viewport, s: Size, x: number): number => v.t0 + (x / s.width) * (v.t1 - v.t0);
export const priceOf = (v: Viewport, s: Size, y: number): number => Math.exp(v.y1 - (y / s.height) * (v.y1 - v.y0));

export function pan(v: Viewport, s: Size, dx: number, dy: number): Viewport {
  const dt = (-dx / s.width) * (v.t1 - v.t0);
  const dy_ = (dy / s.height) * (v.y1 - v.y0);
  return { t0: v.t0 + dt, t1: v.t1 + dt, y0: v.y0 + dy_, y1: v.y1 + dy_ };
}

/** Scale around a point on screen; factors below 1 zoom in. Limits keep the point where it is. */
export function zoom(v: Viewport, s: Size, x: number, y: number, fx: number, fy: number): Viewport {
  const span = clamp((v.t1 - v.t0) * fx, MIN_SPAN_MS, MAX_SPAN_MS);
  const tall = clamp((v.y1 - v.y0) * fy, MIN_SPAN_Y, MAX_SPAN_Y);
  const ax = x / s.width;
  const ay = y / s.height;
  const t = v.t0 + ax * (v.t1 - v.t0);
  const p = v.y1 - ay * (v.y1 - v.y0);
  return { t0: t - ax * span, t1: t + (1 - ax) * span, y1: p + ay * tall, y0: p - (1 - ay) * tall };
}

/** The last `spanMs` up to now, with room for the live column, `reach` (log) around the price. */
export function fit(nowMs: number, spanMs: number, price: number, reach: number): Viewport {
  const y = Math.log(price);
  return { t0: nowMs - spanMs, t1: nowMs + 0.03 * spanMs, y0: y - reach, y1: y + reach };
}

/** The window on which a range opens: the longer, the taller. */
export const opening = (nowMs: number, hours: number, price: number): Viewport =>
  fit(nowMs, hours * 3_600_000, price, 0.02 * Math.sqrt(Math.min(Math.max(hours, 4), 720) / 4));

/** Keep the right edge at now, and the price inside the middle of the window. */
export function follow(v: Viewport, nowMs: number, price: number): Viewport {
  const span = v.t1 - v.t0;
  const t1 = nowMs + 0.03 * span;
  let { y0, y1 } = v;
  const y = Math.log(price);
  const tall = y1 - y0;
  const off = (y - y0) / tall;
  if (off < 0.2 || off > 0.8) {
    y0 = y - tall / 2;
    y1 = y + tall / 2;
  }
  return { t0: t1 - span, t1, y0, y1 };
}

/** The widths whose cells are about a pixel or two: never more columns than the screen can show. */
export function resolution(v: Viewport, s: Size): { columnS: number; level: number } {
  const perPixel = (v.t1 - v.t0) / 1000 / Math.max(s.width, 1);
  const columnS = COLUMN_S.find((width) => width >= perPixel * 1.2) ?? 43200;
  const level = (v.y1 - v.y0) / BIN_WIDTH > 700 ? 1 : 0;
  return { columnS, level };
}

/** Tiles that cover the window; coarse ones first, as a ground for what is finer. */
export function tilesFor(v: Viewport, s: Size, nowMs: number): TileKey[] {
  const { columnS, level } = resolution(v, s);
  const out: TileKey[] = [];
  // Back-filled history exists from 300 s up: it lies under the finer columns of the live past.
  const widths = columnS < 300 ? [300, columnS] : [columnS];
  for (const width of widths) {
    const span = width * TILE_COLUMNS * 1000;
    const tall = BIN_WIDTH * (LEVELS[level] ?? 1) * TILE_BINS;
    const first = Math.floor(v.t0 / span);
    const last = Math.floor(Math.min(v.t1, nowMs) / span);
    for (let t = first; t <= last; t++) {
      for (let p = Math.floor(v.y0 / tall); p <= Math.floor(v.y1 / tall); p++) {
        out.push({ columnS: width, level, timeIndex: t, priceIndex: p });
      }
    }
  }
  return out.slice(-160);
}

const CANDLE_S = [60, 300, 900, 1800, 3600, 14400, 86400] as const;

/** Candles of about six pixels. */
export function candleSeconds(v: Viewport, s: Size): number {
  const perPixel = (v.t1 - v.t0) / 1000 / Math.max(s.width, 1);
  return CANDLE_S.find((width) => width >= perPixel * 5) ?? 86400;
}

/** Round prices for the axis: steps of 1, 2, 5 times a power of ten, at least `gap` pixels apart. */
export function priceTicks(v: Viewport, s: Size, gap = 44): number[] {
  const low = Math.exp(v.y0);
  const high = Math.exp(v.y1);
  const raw = ((high - low) * gap) / Math.max(s.height, 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5, 10].find((m) => m * power >= raw) ?? 10);
  const out: number[] = [];
  for (let p = Math.ceil(low / step) * step; p <= high; p += step) out.push(Number(p.toPrecision(12)));
  return out;
}

const TIME_S = [60, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800, 2592000] as const;

/** Whole minutes, hours or days of the given zone offset, at least `gap` pixels apart. */
export function timeTicks(v: Viewport, s: Size, offsetMs: number, gap = 58): { ms: number; day: boolean }[] {
  const raw = ((v.t1 - v.t0) / 1000) * (gap / Math.max(s.width, 1));
  const step = (TIME_S.find((width) => width >= raw) ?? 2592000) * 1000;
  const out: { ms: number; day: boolean }[] = [];
  for (let t = Math.ceil((v.t0 + offsetMs) / step) * step; t <= v.t1 + offsetMs; t += step) {
    out.push({ ms: t - offsetMs, day: t % 86_400_000 === 0 });
  }
  return out;
}

export const clamp = (x: number, low: number, high: number): number => Math.min(high, Math.max(low, x));
