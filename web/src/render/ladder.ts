/** The order-book ladder: sizes, liquidation zones and traded delta in the same rows. */
import { BAND_COLOURS } from "../state/palette";
import { size as amount } from "../state/format";
import type { Ladder } from "../wire/types";
import { BOLD, FONT, type Theme } from "./theme";

export const ROW_PX = 22;
export const HEAD_PX = 22;

export interface LadderLayout {
  readonly width: number;
  readonly height: number;
  /** rows scrolled away from the middle, positive = higher prices */
  readonly offset: number;
  readonly theme: Theme;
  readonly chosen: number | null;
}

export interface LadderColumns {
  readonly longEnd: number;
  readonly bidEnd: number;
  readonly priceEnd: number;
  readonly askEnd: number;
  readonly shortEnd: number;
  readonly width: number;
}

export function columns(width: number): LadderColumns {
  const at = (share: number): number => Math.round(width * share);
  return { longEnd: at(0.13), bidEnd: at(0.36), priceEnd: at(0.57), askEnd: at(0.78), shortEnd: at(0.88), width };
}

/** Index of the row in the middle: the one that holds the mid price. */
export function midRow(l: Ladder): number {
  return Math.floor(((l.bestBid + l.bestAsk) / 2 - l.firstPrice) / l.step);
}

export function rowAt(l: Ladder, v: LadderLayout, y: number): number | null {
  const rows = Math.floor((v.height - HEAD_PX) / ROW_PX);
  const i = midRow(l) + v.offset + Math.floor(rows / 2) - Math.floor((y - HEAD_PX) / ROW_PX);
  return i >= 0 && i < l.bid.length ? i : null;
}

const most = (values: readonly number[], from: number, to: number): number => {
  let best = 0;
  for (let i = Math.max(0, from); i < Math.min(values.length, to); i++) best = Math.max(best, values[i] ?? 0);
  return best || 1;
};

export function drawLadder(c: CanvasRenderingContext2D, l: Ladder, v: LadderLayout): void {
  const col = columns(v.width);
  c.clearRect(0, 0, v.width, v.height);
  const rows = Math.floor((v.height - HEAD_PX) / ROW_PX);
  const top = midRow(l) + v.offset + Math.floor(rows / 2);
  const low = top - rows;
  const largest = Math.max(most(l.bid, low, top + 1), most(l.ask, low, top + 1));
  const forced = Math.max(most(l.longUsd, low, top + 1), most(l.shortUsd, low, top + 1));
  for (let r = 0; r <= rows; r++) {
    const i = top - r;
    if (i < 0 || i >= l.bid.length) continue;
    row(c, l, v, col, i, HEAD_PX + r * ROW_PX, largest, forced);
  }
  head(c, v, col);
}

function head(c: CanvasRenderingContext2D, v: LadderLayout, col: LadderColumns): void {
  c.fillStyle = v.theme.ground;
  c.fillRect(0, 0, v.width, HEAD_PX);
  c.font = FONT;
  c.fillStyle = v.theme.dim;
  c.textBaseline = "middle";
  const y = HEAD_PX / 2;
  c.textAlign = "left";
  c.fillText("long liq", 4, y);
  c.fillText("ask", col.priceEnd + 6, y);
  c.textAlign = "right";
  c.fillText("bid", col.bidEnd - 6, y);
  c.fillText("price", col.priceEnd - 8, y);
  c.fillText("short liq", col.shortEnd - 2, y);
  c.fillText("Δ 1m", col.width - 6, y);
}

function row(
  c: CanvasRenderingContext2D,
  l: Ladder,
  v: LadderLayout,
  col: LadderColumns,
  i: number,
  y: number,
  largest: number,
  forced: number,
): void {
  const { theme } = v;
  const mid = y + ROW_PX / 2;
  const price = l.firstPrice + i * l.step;
  const bid = l.bid[i] ?? 0;
  const ask = l.ask[i] ?? 0;
  if (i === v.chosen) {
    c.fillStyle = theme.edge;
    c.fillRect(0, y, v.width, ROW_PX);
  }
  const inside = i === midRow(l);
  if (inside) {
    c.fillStyle = theme.grid;
    c.fillRect(0, y, v.width, ROW_PX);
  }
  // Zones: dollars forced out if the mark comes here; length is linear in dollars.
  const zone = (x0: number, x1: number, usd: number, left: boolean): void => {
    const w = (usd / forced) * (x1 - x0 - 4);
    if (w < 0.5) return;
    c.fillStyle = BAND_COLOURS[2];
    c.fillRect(left ? x0 + 2 : x1 - 2 - w, y + 4, w, ROW_PX - 8);
  };
  zone(0, col.longEnd, l.longUsd[i] ?? 0, true);
  zone(col.askEnd, col.shortEnd, l.shortUsd[i] ?? 0, false);
  c.textBaseline = "middle";
  if (bid > 0) {
    const w = (bid / largest) * (col.bidEnd - col.longEnd - 4);
    c.fillStyle = theme.bidFill;
    c.fillRect(col.bidEnd - w, y + 2, w, ROW_PX - 4);
    c.fillStyle = theme.text;
    c.textAlign = "right";
    c.font = FONT;
    c.fillText(amount(bid), col.bidEnd - 6, mid);
  }
  if (ask > 0) {
    const w = (ask / largest) * (col.askEnd - col.priceEnd - 4);
    c.fillStyle = theme.askFill;
    c.fillRect(col.priceEnd, y + 2, w, ROW_PX - 4);
    c.fillStyle = theme.text;
    c.textAlign = "left";
    c.font = FONT;
    c.fillText(amount(ask), col.priceEnd + 6, mid);
  }
  c.textAlign = "right";
  c.font = inside ? BOLD : FONT;
  const isAsk = price >= l.bestAsk - l.step / 2 && ask >= bid;
  c.fillStyle = bid === 0 && ask === 0 ? theme.dim : isAsk ? theme.ask : theme.bid;
  const digits = Math.max(0, Math.min(8, decimalsOf(l.step)));
  c.fillText(price.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }), col.priceEnd - 8, mid);
  const delta = l.delta[i] ?? 0;
  if (delta !== 0) {
    c.font = FONT;
    c.fillStyle = delta > 0 ? theme.bid : theme.ask;
    c.fillText(`${delta > 0 ? "+" : "\u2212"}${amount(Math.abs(delta))}`, col.width - 6, mid);
  }
}

export function decimalsOf(step: number): number {
  return step >= 1 ? 0 : Math.ceil(-Math.log10(step) - 1e-9);
}
