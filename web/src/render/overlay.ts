/** What lies on the heat map: thin hours, candles, realised liquidations, mark, axes, crosshair. */
import type { Candle } from "../state/candles";
import { axisPrice, clock, day, zone } from "../state/format";
import type { MapLayout } from "../state/layout";
import { priceOf, msOf, priceTicks, timeTicks, xOf, yOf, type Viewport } from "../state/viewport";
import type { ClusterRow, Clusters, OutlookRow, TapeRow, ThinWindow } from "../wire/types";
import { drawClusterLabels } from "./labels";
import { BOLD, FONT, type Theme } from "./theme";

export interface OverlayState {
  readonly view: Viewport;
  readonly layout: MapLayout;
  readonly candles: readonly Candle[];
  readonly candleMs: number;
  readonly mark: number;
  readonly tape: readonly TapeRow[];
  /** of the map that is shown; null: not known yet */
  readonly clusters: Clusters | null;
  readonly thin: readonly ThinWindow[];
  /** what came after this moment is veiled; 0 = nothing is */
  readonly asOf: number;
  readonly picked: ClusterRow | null;
  /** where the cascade that runs may stop */
  readonly outlook: OutlookRow | null;
  readonly cross: { readonly x: number; readonly y: number } | null;
  readonly utc: boolean;
  readonly theme: Theme;
}

export function drawOverlay(c: CanvasRenderingContext2D, s: OverlayState): void {
  const { map, box } = s.layout;
  c.clearRect(0, 0, box.width, box.height);
  const ticks = priceTicks(s.view, map);
  c.save();
  c.beginPath();
  c.rect(0, 0, map.width, map.height);
  c.clip();
  thinHours(c, s);
  grid(c, s, ticks);
  pointed(c, s);
  veil(c, s);
  candles(c, s);
  bubbles(c, s);
  c.restore();
  markLine(c, s);
  axes(c, s, ticks);
  stop(c, s);
  drawClusterLabels(c, s);
  cross(c, s);
}

function thinHours(c: CanvasRenderingContext2D, s: OverlayState): void {
  const { map } = s.layout;
  c.font = FONT;
  c.textBaseline = "alphabetic";
  c.textAlign = "left";
  for (const w of s.thin) {
    const x0 = Math.max(0, xOf(s.view, map, w.startMs));
    const x1 = Math.min(map.width, xOf(s.view, map, w.endMs));
    if (x1 - x0 < 1) continue;
    c.fillStyle = s.theme.shade;
    c.fillRect(x0, 0, x1 - x0, map.height);
    // A band at the foot says it where the map is bright.
    c.fillStyle = s.theme.accent;
    c.fillRect(x0, map.height - 3, x1 - x0, 3);
    const name = `thin: ${w.why.split(":")[0] ?? ""}`;
    if (x1 - x0 > c.measureText(name).width + 12) {
      c.fillStyle = s.theme.box;
      c.fillRect(x0 + 2, map.height - 20, c.measureText(name).width + 8, 15);
      c.fillStyle = s.theme.accent;
      c.fillText(name, x0 + 6, map.height - 8.5);
    }
  }
}

/** The cluster that was picked in the list, across the whole map. */
function pointed(c: CanvasRenderingContext2D, s: OverlayState): void {
  if (!s.picked) return;
  const { map } = s.layout;
  const [top, bottom] = [yOf(s.view, map, s.picked.high), yOf(s.view, map, s.picked.low)];
  c.strokeStyle = s.picked.side === "long" ? s.theme.long : s.theme.short;
  c.lineWidth = 1.5;
  c.setLineDash([6, 3]);
  c.strokeRect(-2, top, map.width + 4, Math.max(2, bottom - top));
  c.setLineDash([]);
}

/** What was not known yet: the map is covered, the price that came is left to judge it by. */
function veil(c: CanvasRenderingContext2D, s: OverlayState): void {
  if (!s.asOf) return;
  const { map } = s.layout;
  const x = xOf(s.view, map, s.asOf);
  c.fillStyle = s.theme.ground;
  c.globalAlpha = 0.86;
  c.fillRect(x, 0, map.width - x, map.height);
  c.globalAlpha = 1;
  c.fillStyle = s.theme.accent;
  c.fillRect(Math.round(x) - 0.75, 0, 1.5, map.height);
}

function grid(c: CanvasRenderingContext2D, s: OverlayState, ticks: readonly number[]): void {
  c.strokeStyle = s.theme.grid;
  c.lineWidth = 1;
  c.beginPath();
  for (const p of ticks) {
    const y = Math.round(yOf(s.view, s.layout.map, p)) + 0.5;
    c.moveTo(0, y);
    c.lineTo(s.layout.map.width, y);
  }
  c.stroke();
}

function candles(c: CanvasRenderingContext2D, s: OverlayState): void {
  const { map } = s.layout;
  const w = (s.candleMs / (s.view.t1 - s.view.t0)) * map.width;
  const body = Math.max(1, Math.min(14, w * 0.7));
  for (const [start, open, high, low, close] of s.candles) {
    const x = xOf(s.view, map, start + s.candleMs / 2);
    if (x < -w || x > map.width + w) continue;
    c.fillStyle = close >= open ? s.theme.up : s.theme.down;
    c.globalAlpha = s.asOf && start >= s.asOf ? 0.5 : 1;
    const y = (p: number): number => yOf(s.view, map, p);
    c.fillRect(x - 0.5, y(high), 1, Math.max(1, y(low) - y(high)));
    const top = y(Math.max(open, close));
    c.fillRect(x - body / 2, top, body, Math.max(1, y(Math.min(open, close)) - top));
  }
  c.globalAlpha = 1;
}

export const bubbleRadius = (usd: number): number => Math.min(24, Math.sqrt(usd / 25_000));

/** Area is dollars. A forced sell points down, a forced buy up: colour is not needed to tell them apart. */
function bubbles(c: CanvasRenderingContext2D, s: OverlayState): void {
  const { map } = s.layout;
  c.lineWidth = 1.25;
  for (const row of s.tape) {
    const r = bubbleRadius(row.usd);
    const x = xOf(s.view, map, row.atMs);
    if (r < 1.6 || x < -25 || x > map.width + 25) continue;
    const y = yOf(s.view, map, row.price);
    const sign = row.side === "long" ? 1 : -1;
    c.beginPath();
    c.arc(x, y, r, 0, Math.PI * 2);
    c.globalAlpha = 0.22;
    c.fillStyle = row.side === "long" ? s.theme.long : s.theme.short;
    c.fill();
    c.globalAlpha = 0.95;
    c.moveTo(x, y + sign * r);
    c.lineTo(x, y + sign * (r + 4));
    c.strokeStyle = c.fillStyle;
    c.stroke();
  }
  c.globalAlpha = 1;
}

function markLine(c: CanvasRenderingContext2D, s: OverlayState): void {
  const y = Math.round(yOf(s.view, s.layout.map, s.mark)) + 0.5;
  if (s.mark <= 0 || y < 0 || y > s.layout.map.height) return;
  c.strokeStyle = s.theme.mark;
  c.lineWidth = 1;
  c.setLineDash([3, 3]);
  c.beginPath();
  c.moveTo(0, y);
  c.lineTo(s.layout.map.width + s.layout.profileWidth, y);
  c.stroke();
  c.setLineDash([]);
}

function axes(c: CanvasRenderingContext2D, s: OverlayState, ticks: readonly number[]): void {
  const { map, box, axisHeight } = s.layout;
  c.font = FONT;
  c.fillStyle = s.theme.dim;
  c.textBaseline = "middle";
  c.textAlign = "right";
  const taken = [s.mark, s.outlook?.stopPrice ?? s.mark].map((p) => yOf(s.view, map, p));
  for (const p of ticks) {
    const y = yOf(s.view, map, p);
    if (y > 8 && y < map.height - 8 && taken.every((other) => Math.abs(y - other) > 15)) c.fillText(axisPrice(p), box.width - 5, y);
  }
  c.textAlign = "center";
  const foot = map.height + axisHeight / 2;
  const offset = s.utc ? 0 : -new Date(s.view.t1).getTimezoneOffset() * 60_000;
  for (const t of timeTicks(s.view, map, offset)) {
    const x = xOf(s.view, map, t.ms);
    if (x > 16 && x < map.width - 14) c.fillText(t.day ? day(t.ms, s.utc) : clock(t.ms, s.utc), x, foot);
  }
  c.textAlign = "right";
  c.fillText(zone(s.view.t1, s.utc), box.width - 5, foot);
  tag(c, s, s.mark, s.theme.text, s.theme.ground);
}

/** Where the cascade may stop, on the axis: a bar over 80 % of such moves, its median in a box and as a line. */
function stop(c: CanvasRenderingContext2D, s: OverlayState): void {
  if (!s.outlook) return;
  const { map, box, axisWidth, profileWidth } = s.layout;
  const { stopPrice, stopPriceNear, stopPriceFar } = s.outlook;
  const ends = [yOf(s.view, map, stopPriceNear), yOf(s.view, map, stopPriceFar)].map((y) => Math.min(map.height, Math.max(0, y)));
  const [top, bottom] = [Math.min(...ends), Math.max(...ends)];
  if (bottom - top < 1) return;
  c.fillStyle = s.theme.accent;
  c.fillRect(box.width - axisWidth, top, 3, bottom - top);
  const y = Math.round(yOf(s.view, map, stopPrice)) + 0.5;
  if (y < 0 || y > map.height || Math.abs(y - yOf(s.view, map, s.mark)) < 18) return;
  c.strokeStyle = s.theme.accent;
  c.setLineDash([2, 4]);
  c.beginPath();
  c.moveTo(map.width, y);
  c.lineTo(map.width + profileWidth, y);
  c.stroke();
  c.setLineDash([]);
  tag(c, s, stopPrice, s.theme.accent, s.theme.ground);
}

/** A price on the axis in a filled box. */
function tag(c: CanvasRenderingContext2D, s: OverlayState, price: number, fill: string, ink: string): void {
  const { map, box, axisWidth } = s.layout;
  const y = yOf(s.view, map, price);
  if (price <= 0 || y < 0 || y > map.height) return;
  c.fillStyle = fill;
  c.fillRect(box.width - axisWidth, y - 9, axisWidth, 18);
  c.fillStyle = ink;
  c.font = BOLD;
  c.textAlign = "right";
  c.textBaseline = "middle";
  c.fillText(axisPrice(price), box.width - 5, y + 0.5);
  c.font = FONT;
}

function cross(c: CanvasRenderingContext2D, s: OverlayState): void {
  if (!s.cross) return;
  const { map, profileWidth, axisHeight } = s.layout;
  const { x, y } = s.cross;
  c.strokeStyle = s.theme.mark;
  c.lineWidth = 1;
  c.beginPath();
  c.moveTo(Math.round(x) + 0.5, 0);
  c.lineTo(Math.round(x) + 0.5, map.height);
  c.moveTo(0, Math.round(y) + 0.5);
  c.lineTo(map.width + profileWidth, Math.round(y) + 0.5);
  c.stroke();
  tag(c, s, priceOf(s.view, map, y), s.theme.on, s.theme.text);
  const ms = msOf(s.view, map, x);
  const text = `${s.view.t1 - s.view.t0 > 86_400_000 ? `${day(ms, s.utc)} ` : ""}${clock(ms, s.utc)}`;
  c.font = BOLD;
  const w = c.measureText(text).width + 10;
  const left = Math.min(Math.max(0, x - w / 2), map.width - w);
  c.fillStyle = s.theme.on;
  c.fillRect(left, map.height, w, axisHeight);
  c.fillStyle = s.theme.text;
  c.textAlign = "center";
  c.fillText(text, left + w / 2, map.height + axisHeight / 2);
}
