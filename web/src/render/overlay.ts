/** What lies on the heat map: candles, mark, realised liquidations, clusters, axes, crosshair. */
import { axisPrice, clock, day, percent, usd } from "../state/format";
import { priceOf, priceTicks, timeTicks, xOf, yOf, type Size, type Viewport } from "../state/viewport";
import type { ClusterRow, TapeRow } from "../wire/types";
import { BOLD, FONT, type Theme } from "./theme";

export type Candle = readonly [number, number, number, number, number, number];

export interface OverlayState {
  readonly view: Viewport;
  /** of the map, without axis and profile */
  readonly size: Size;
  readonly axisWidth: number;
  readonly axisHeight: number;
  readonly profileWidth: number;
  readonly candles: readonly Candle[];
  readonly candleMs: number;
  readonly mark: number;
  readonly tape: readonly TapeRow[];
  readonly clusters: readonly ClusterRow[];
  readonly cross: { readonly x: number; readonly y: number } | null;
  readonly utc: boolean;
  readonly theme: Theme;
}

export function drawOverlay(c: CanvasRenderingContext2D, s: OverlayState): void {
  const { width, height } = s.size;
  c.clearRect(0, 0, width + s.profileWidth + s.axisWidth, height + s.axisHeight);
  const ticks = priceTicks(s.view, s.size);
  c.save();
  c.beginPath();
  c.rect(0, 0, width, height);
  c.clip();
  grid(c, s, ticks);
  candles(c, s);
  bubbles(c, s);
  c.restore();
  markLine(c, s);
  axes(c, s, ticks);
  labels(c, s);
  cross(c, s);
}

function grid(c: CanvasRenderingContext2D, s: OverlayState, ticks: readonly number[]): void {
  c.strokeStyle = s.theme.grid;
  c.lineWidth = 1;
  c.beginPath();
  for (const p of ticks) {
    const y = Math.round(yOf(s.view, s.size, p)) + 0.5;
    c.moveTo(0, y);
    c.lineTo(s.size.width, y);
  }
  c.stroke();
}

function candles(c: CanvasRenderingContext2D, s: OverlayState): void {
  const w = (s.candleMs / (s.view.t1 - s.view.t0)) * s.size.width;
  const body = Math.max(1, Math.min(14, w * 0.68));
  for (const [start, open, high, low, close] of s.candles) {
    const x = xOf(s.view, s.size, start + s.candleMs / 2);
    if (x < -w || x > s.size.width + w) continue;
    const up = close >= open;
    c.fillStyle = up ? s.theme.up : s.theme.down;
    const y = (p: number): number => yOf(s.view, s.size, p);
    c.fillRect(x - 0.5, y(high), 1, Math.max(1, y(low) - y(high)));
    const top = y(Math.max(open, close));
    c.fillRect(x - body / 2, top, body, Math.max(1, y(Math.min(open, close)) - top));
  }
}

/** Area is dollars. A forced sell points down, a forced buy up: colour is not needed to tell them apart. */
function bubbles(c: CanvasRenderingContext2D, s: OverlayState): void {
  c.lineWidth = 1.25;
  for (const row of s.tape) {
    const x = xOf(s.view, s.size, row.atMs);
    if (x < -20 || x > s.size.width + 20 || row.usd < 10_000) continue;
    const y = yOf(s.view, s.size, row.price);
    const r = Math.min(22, Math.sqrt(row.usd / 20_000));
    c.strokeStyle = row.side === "long" ? s.theme.ask : s.theme.bid;
    c.globalAlpha = 0.85;
    c.beginPath();
    c.arc(x, y, Math.max(1.5, r), 0, Math.PI * 2);
    const sign = row.side === "long" ? 1 : -1;
    c.moveTo(x, y + sign * Math.max(1.5, r));
    c.lineTo(x, y + sign * (Math.max(1.5, r) + 4));
    c.stroke();
  }
  c.globalAlpha = 1;
}

function markLine(c: CanvasRenderingContext2D, s: OverlayState): void {
  if (s.mark <= 0) return;
  const y = Math.round(yOf(s.view, s.size, s.mark)) + 0.5;
  if (y < 0 || y > s.size.height) return;
  c.strokeStyle = s.theme.mark;
  c.lineWidth = 1;
  c.setLineDash([3, 3]);
  c.beginPath();
  c.moveTo(0, y);
  c.lineTo(s.size.width + s.profileWidth, y);
  c.stroke();
  c.setLineDash([]);
}

function axes(c: CanvasRenderingContext2D, s: OverlayState, ticks: readonly number[]): void {
  const left = s.size.width + s.profileWidth;
  c.font = FONT;
  c.fillStyle = s.theme.dim;
  c.textBaseline = "middle";
  c.textAlign = "right";
  const right = left + s.axisWidth - 4;
  for (const p of ticks) {
    const y = yOf(s.view, s.size, p);
    if (y > 8 && y < s.size.height - 8) c.fillText(axisPrice(p), right, y);
  }
  c.textAlign = "center";
  const offset = s.utc ? 0 : -new Date(s.view.t1).getTimezoneOffset() * 60_000;
  for (const t of timeTicks(s.view, s.size, offset)) {
    const x = xOf(s.view, s.size, t.ms);
    if (x > 16 && x < s.size.width - 10) c.fillText(t.day ? day(t.ms, s.utc) : clock(t.ms, s.utc), x, s.size.height + 10);
  }
  tag(c, s, s.mark, s.theme.text, s.theme.ground);
}

/** A price on the axis in a filled box. */
function tag(c: CanvasRenderingContext2D, s: OverlayState, price: number, fill: string, ink: string): void {
  const y = yOf(s.view, s.size, price);
  if (price <= 0 || y < 0 || y > s.size.height) return;
  const left = s.size.width + s.profileWidth;
  c.fillStyle = fill;
  c.fillRect(left, y - 8, s.axisWidth, 16);
  c.fillStyle = ink;
  c.font = BOLD;
  c.textAlign = "right";
  c.textBaseline = "middle";
  c.fillText(axisPrice(price), left + s.axisWidth - 4, y + 0.5);
  c.font = FONT;
}

/** The nearest of each side first, at most five that do not overlap. */
function labels(c: CanvasRenderingContext2D, s: OverlayState): void {
  const nearest = [...s.clusters].sort((a, b) => Math.abs(a.distance) - Math.abs(b.distance));
  const sides = ["long", "short"].flatMap((side) => nearest.filter((k) => k.side === side).slice(0, 3));
  const used: number[] = [];
  c.textBaseline = "middle";
  for (const k of sides) {
    const y = yOf(s.view, s.size, k.peak);
    if (y < 10 || y > s.size.height - 10 || used.some((u) => Math.abs(u - y) < 22)) continue;
    used.push(y);
    c.font = BOLD;
    const lead = `${usd(k.usd)} ${k.side}`;
    const w1 = c.measureText(lead).width;
    c.font = FONT;
    const rest = ` · ${percent(k.distance, 1)}${k.stacked ? " · stacked" : ""}`;
    const w = w1 + c.measureText(rest).width + 14;
    const x = s.size.width - w - 6;
    c.fillStyle = s.theme.box;
    c.strokeStyle = s.theme.edge;
    c.lineWidth = 1;
    c.beginPath();
    c.roundRect(x, y - 10, w, 20, 5);
    c.fill();
    c.stroke();
    c.textAlign = "left";
    c.fillStyle = s.theme.text;
    c.font = BOLD;
    c.fillText(lead, x + 7, y + 0.5);
    c.font = FONT;
    c.fillStyle = s.theme.dim;
    c.fillText(rest, x + 7 + w1, y + 0.5);
  }
}

function cross(c: CanvasRenderingContext2D, s: OverlayState): void {
  if (!s.cross) return;
  const { x, y } = s.cross;
  c.strokeStyle = "rgba(238,242,250,0.6)";
  c.lineWidth = 1;
  c.beginPath();
  c.moveTo(Math.round(x) + 0.5, 0);
  c.lineTo(Math.round(x) + 0.5, s.size.height);
  c.moveTo(0, Math.round(y) + 0.5);
  c.lineTo(s.size.width + s.profileWidth, Math.round(y) + 0.5);
  c.stroke();
  tag(c, s, priceOf(s.view, s.size, y), "#3b465e", "#ffffff");
}
