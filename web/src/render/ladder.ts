/** The order-book ladder: sizes, liquidation zones, walls and traded delta in the same rows. */
import { price as money, rowPrice, signed, signedSize, size as amount, usdTick } from "../state/format";
import { firstRow, frameOf, HEAD_PX, mid, ROW_PX, SPREAD_PX, wallBadge, wallsByRow, yOfRow, type Frame } from "../state/ladder";
import type { ClusterRow, Ladder, WallRow } from "../wire/types";
import { BODY, BODY_BOLD, BOLD, FONT, TITLE, type Theme } from "./theme";

export interface LadderState {
  readonly width: number;
  readonly height: number;
  readonly anchor: number;
  readonly chosen: number | null;
  readonly decimals: number;
  readonly clusters: readonly ClusterRow[];
  readonly theme: Theme;
}

interface Columns {
  readonly longEnd: number;
  readonly bidEnd: number;
  readonly priceEnd: number;
  readonly askEnd: number;
  readonly shortEnd: number;
}

/** Strips and figures keep their widths; the book takes the rest. */
function columns(width: number): Columns {
  const strip = Math.max(34, Math.round(width * 0.105));
  const narrow = width < 380;
  const price = narrow ? 68 : 76;
  const delta = narrow ? 46 : 52;
  const book = (width - 2 * strip - price - delta) / 2;
  const bidEnd = Math.round(strip + book);
  return { longEnd: strip, bidEnd, priceEnd: bidEnd + price, askEnd: Math.round(bidEnd + price + book), shortEnd: width - delta };
}

interface Paint {
  readonly c: CanvasRenderingContext2D;
  readonly l: Ladder;
  readonly s: LadderState;
  readonly f: Frame;
  readonly col: Columns;
  readonly largest: number;
  readonly forced: number;
  /** the rows of the longest strips: their dollars are written on them, so that a small one never looks large */
  readonly named: readonly [number, number];
  readonly walls: ReadonlyMap<string, WallRow>;
}

export function drawLadder(c: CanvasRenderingContext2D, l: Ladder, s: LadderState): void {
  const f = frameOf(l, s.anchor, s.height);
  const from = firstRow(l);
  let largest = 1e-9;
  for (let k = f.top - f.rows; k <= f.top; k++) largest = Math.max(largest, l.bid[k - from] ?? 0, l.ask[k - from] ?? 0);
  const named = [longest(f, from, l.longUsd), longest(f, from, l.shortUsd)] as const;
  const forced = Math.max(1, l.longUsd[named[0] - from] ?? 0, l.shortUsd[named[1] - from] ?? 0);
  const p: Paint = { c, l, s, f, col: columns(s.width), largest, forced, named, walls: wallsByRow(l) };
  c.fillStyle = s.theme.ground;
  c.fillRect(0, 0, s.width, s.height);
  c.textBaseline = "middle";
  for (let k = f.top; k >= f.top - f.rows - 1; k--) row(p, k, k - from);
  spreadLine(p);
  head(p);
}

function longest(f: Frame, from: number, usd: readonly number[]): number {
  let best = f.top - f.rows + 1; // the row below is cut off
  for (let k = best; k <= f.top; k++) if ((usd[k - from] ?? 0) > (usd[best - from] ?? 0)) best = k;
  return best;
}

function head({ c, l, s, col }: Paint): void {
  c.fillStyle = s.theme.ground;
  c.fillRect(0, 0, s.width, HEAD_PX);
  c.fillStyle = s.theme.edge;
  c.fillRect(0, HEAD_PX - 1, s.width, 1);
  c.font = FONT;
  c.fillStyle = s.theme.dim;
  const y = HEAD_PX / 2;
  const room = col.bidEnd - col.longEnd - 24;
  const coins = (side: string): string => (c.measureText(`${side}, ${l.base}`).width < room ? `${side}, ${l.base}` : side);
  c.textAlign = "left";
  c.fillText("long liq", 4, y);
  c.fillText(coins("ask"), col.priceEnd + 6, y);
  c.textAlign = "right";
  c.fillText(coins("bid"), col.bidEnd - 6, y);
  c.fillText("price", col.priceEnd - 8, y);
  c.fillText("short liq", col.shortEnd - 2, y);
  c.fillText("Δ 1m", s.width - 6, y);
}

function row(p: Paint, k: number, i: number): void {
  const { c, l, s, f, col } = p;
  const y = yOfRow(f, k);
  if (y > s.height) return;
  const middle = y + ROW_PX / 2;
  if (k === s.chosen) {
    c.fillStyle = s.theme.on;
    c.globalAlpha = 0.55;
    c.fillRect(0, y, s.width, ROW_PX);
    c.globalAlpha = 1;
  }
  c.fillStyle = s.theme.grid;
  c.fillRect(0, y + ROW_PX - 1, s.width, 1);
  const price = k * l.step;
  // Beyond what the server sent only the price is known.
  const known = i >= 0 && i < l.bid.length;
  const bid = known ? (l.bid[i] ?? 0) : 0;
  const ask = known ? (l.ask[i] ?? 0) : 0;
  zones(p, k, y, known ? (l.longUsd[i] ?? 0) : 0, known ? (l.shortUsd[i] ?? 0) : 0);
  book(p, bid, true, p.walls.get(`${k}b`), y);
  book(p, ask, false, p.walls.get(`${k}a`), y);
  c.textAlign = "right";
  c.font = BODY;
  c.fillStyle = known ? (k > f.split ? s.theme.ask : s.theme.bid) : s.theme.dim;
  c.fillText(rowPrice(price, l.step), col.priceEnd - 8, middle);
  const delta = known ? (l.delta[i] ?? 0) : 0;
  if (Math.abs(delta) >= 0.005) {
    c.fillStyle = delta > 0 ? s.theme.bid : s.theme.ask;
    c.fillText(signedSize(delta), s.width - 6, middle);
  }
}

/** Dollars forced out if the mark comes here, linear; a line at the outer edge marks a cluster. */
function zones(p: Paint, row: number, y: number, longUsd: number, shortUsd: number): void {
  const { c, l, s, col, forced, named } = p;
  const price = row * l.step;
  const h = ROW_PX - 7;
  const longWidth = (longUsd / forced) * (col.longEnd - 6);
  const shortWidth = (shortUsd / forced) * (col.shortEnd - col.askEnd - 6);
  c.fillStyle = s.theme.longFill;
  if (longWidth > 0.4) c.fillRect(4, y + 3, longWidth, h);
  c.fillStyle = s.theme.shortFill;
  if (shortWidth > 0.4) c.fillRect(col.shortEnd - 2 - shortWidth, y + 3, shortWidth, h);
  if (row === named[0] && longUsd >= 1000) rimmed(c, usdTick(longUsd), 5, y, "left", s.theme);
  if (row === named[1] && shortUsd >= 1000) rimmed(c, usdTick(shortUsd), col.shortEnd - 3, y, "right", s.theme);
  for (const k of s.clusters) {
    if (k.high <= price || k.low >= price + l.step) continue;
    c.fillStyle = k.side === "long" ? s.theme.long : s.theme.short;
    c.fillRect(k.side === "long" ? 0 : col.shortEnd, y, 2.5, ROW_PX);
  }
}

/** Text over a bar of any colour. */
function rimmed(c: CanvasRenderingContext2D, text: string, x: number, y: number, align: CanvasTextAlign, theme: Theme): void {
  c.font = FONT;
  c.textAlign = align;
  c.lineWidth = 3;
  c.lineJoin = "round";
  c.strokeStyle = theme.ground;
  c.strokeText(text, x, y + ROW_PX / 2);
  c.fillStyle = theme.text;
  c.fillText(text, x, y + ROW_PX / 2);
}

function book({ c, s, col, largest }: Paint, size: number, isBid: boolean, wall: WallRow | undefined, y: number): void {
  if (size <= 0 && !wall) return;
  const middle = y + ROW_PX / 2;
  const room = isBid ? col.bidEnd - col.longEnd - 4 : col.askEnd - col.priceEnd - 4;
  const w = (size / largest) * room;
  c.fillStyle = isBid ? s.theme.bidFill : s.theme.askFill;
  c.fillRect(isBid ? col.bidEnd - w : col.priceEnd, y + 2, w, ROW_PX - 5);
  if (wall && size > 0) {
    c.fillStyle = isBid ? s.theme.bid : s.theme.ask;
    c.fillRect(isBid ? col.bidEnd - 2.5 : col.priceEnd, y + 2, 2.5, ROW_PX - 5);
  }
  const text = amount(size);
  c.font = BODY;
  c.fillStyle = s.theme.text;
  c.textAlign = isBid ? "right" : "left";
  const x = isBid ? col.bidEnd - 7 : col.priceEnd + 7;
  c.fillText(text, x, middle);
  if (!wall) return;
  const taken = text ? c.measureText(text).width + 7 : 0;
  c.font = BOLD;
  // On a narrow screen the word alone: what happened matters more than how many times the usual.
  const whole = wallBadge(wall);
  const fits = (text: string): boolean => c.measureText(text).width + taken <= room - 4;
  const badge = [whole, whole.split(" ")[0] ?? ""].find(fits);
  if (!badge) return;
  c.fillStyle = wall.state === "pulled" ? s.theme.accent : isBid ? s.theme.bid : s.theme.ask;
  c.fillText(badge, isBid ? x - taken : x + taken, middle);
}

function spreadLine({ c, l, s, f, col }: Paint): void {
  if (f.split > f.top || f.split < f.top - f.rows) return;
  const y = yOfRow(f, f.split) - SPREAD_PX;
  c.fillStyle = s.theme.chip;
  c.fillRect(0, y, s.width, SPREAD_PX);
  const middle = y + SPREAD_PX / 2;
  c.font = TITLE;
  c.fillStyle = s.theme.text;
  c.textAlign = "right";
  const price = money(mid(l), s.decimals);
  c.fillText(price, col.priceEnd - 8, middle + 0.5);
  const left = Math.min(col.bidEnd - 14, col.priceEnd - 18 - c.measureText(price).width);
  const spread = l.bestAsk - l.bestBid;
  c.font = BODY;
  c.fillStyle = s.theme.dim;
  c.textAlign = "left";
  // Venues trade at their own prices: a negative spread is their disagreement, not a free lunch.
  c.fillText(spread >= 0 ? `spread $${money(spread, s.decimals)}` : `venues $${money(-spread, s.decimals)} apart`, col.priceEnd + 6, middle + 0.5);
  if (l.microprice === null) return;
  c.textAlign = "right";
  if (spread < 0) {
    // The middle of books that cross is no price to be ahead of: the microprice stands alone.
    c.fillText(`micro ${money(l.microprice, s.decimals)}`, left, middle + 0.5);
    return;
  }
  c.font = BODY_BOLD;
  const ahead = signed(l.microprice - mid(l), money(Math.abs(l.microprice - mid(l)), Math.max(1, s.decimals)));
  c.fillText(ahead, left, middle + 0.5);
  const before = left - c.measureText(ahead).width - 6;
  c.font = BODY;
  c.fillStyle = s.theme.dim;
  c.fillText("micro", before, middle + 0.5);
}
