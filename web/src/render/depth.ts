/** Depth chart: resting dollars outwards from the mid, and the forced dollars that would meet them. */
import { axisPrice, usd, usdTick } from "../state/format";
import { firstRow, midRow } from "../state/ladder";
import type { ClusterRow, Ladder } from "../wire/types";
import { BOLD, FONT, type Theme } from "./theme";

export interface Wing {
  /** price at the far side of each step, outwards from the mid; cumulative USD up to there */
  readonly price: Float64Array;
  readonly resting: Float64Array;
  readonly forced: Float64Array;
  /** the last step at which anything rests: beyond it the book is not visible */
  readonly visible: number;
  /** first price at which forced flow exceeds what rests, null = nowhere here */
  readonly crossing: number | null;
  /** the crossing lies beyond the visible book: more may rest there than is seen */
  readonly blind: boolean;
}

export function wing(l: Ladder, below: boolean): Wing {
  const from = firstRow(l);
  const at = midRow(l);
  const n = Math.max(0, below ? at - from + 1 : from + l.bid.length - at - 1);
  const out = { price: new Float64Array(n), resting: new Float64Array(n), forced: new Float64Array(n) };
  let crossing: number | null = null;
  let visible = 0;
  for (let d = 0, rest = 0, forced = 0; d < n; d++) {
    const k = below ? at - d : at + 1 + d;
    const i = k - from;
    if (((below ? l.bid : l.ask)[i] ?? 0) > 0) visible = d + 1;
    rest += ((below ? l.bid : l.ask)[i] ?? 0) * (k + 0.5) * l.step;
    forced += (below ? l.longUsd : l.shortUsd)[i] ?? 0;
    out.price[d] = (below ? k : k + 1) * l.step;
    out.resting[d] = rest;
    out.forced[d] = forced;
    if (crossing === null && forced > rest && forced > 0) crossing = out.price[d] ?? null;
  }
  const last = out.price[visible - 1] ?? 0;
  return { ...out, visible, crossing, blind: crossing !== null && (below ? crossing < last : crossing > last) };
}

export function drawDepth(c: CanvasRenderingContext2D, l: Ladder, clusters: readonly ClusterRow[], width: number, height: number, theme: Theme): void {
  c.fillStyle = theme.ground;
  c.fillRect(0, 0, width, height);
  const foot = 22;
  const headroom = 34;
  const wings = [wing(l, true), wing(l, false)] as const;
  const low = l.firstPrice;
  const high = l.firstPrice + l.bid.length * l.step;
  const most = Math.max(1, ...wings.flatMap((w) => [w.resting.at(-1) ?? 0, w.forced.at(-1) ?? 0]));
  const x = (price: number): number => ((price - low) / (high - low)) * width;
  const y = (value: number): number => height - foot - (value / most) * (height - foot - headroom);
  for (const k of clusters) {
    const [a, b] = [Math.max(0, x(k.low)), Math.min(width, x(k.high))];
    if (b <= a) continue;
    c.fillStyle = k.side === "long" ? theme.longFill : theme.shortFill;
    c.globalAlpha = 0.16;
    c.fillRect(a, headroom, b - a, height - foot - headroom);
    c.globalAlpha = 1;
    c.fillRect(a, height - foot - 3, b - a, 3);
  }
  yAxis(c, most, y, width, theme);
  wings.forEach((w, side) => {
    curve(c, w.price.subarray(0, w.visible), w.resting, x, y, side ? theme.ask : theme.bid, side ? theme.askFill : theme.bidFill, l, height - foot);
    const end = w.price[w.visible - 1];
    if (end !== undefined && w.visible < w.price.length) {
      c.fillStyle = theme.dim;
      c.font = FONT;
      c.textAlign = side ? "left" : "right";
      // Beside the book's last step: at the foot the forced curves would run through it.
      c.textBaseline = "top";
      c.fillText("book ends", x(end) + (side ? 5 : -5), y(w.resting[w.visible - 1] ?? 0));
    }
    curve(c, w.price, w.forced, x, y, side ? theme.short : theme.long, null, l, height - foot);
    if (w.crossing !== null) crossing(c, x(w.crossing), headroom, height - foot, w, side === 1, theme);
  });
  c.font = FONT;
  c.fillStyle = theme.dim;
  c.textBaseline = "middle";
  for (let i = 0; i <= 4; i++) {
    const price = low + ((high - low) * i) / 4;
    c.textAlign = i === 0 ? "left" : i === 4 ? "right" : "center";
    c.fillText(axisPrice(price), Math.min(width - 4, Math.max(4, x(price))), height - foot / 2);
  }
  legend(c, theme);
}

function yAxis(c: CanvasRenderingContext2D, most: number, y: (v: number) => number, width: number, theme: Theme): void {
  const power = 10 ** Math.floor(Math.log10(most / 3));
  const step = power * ([1, 2, 5, 10].find((m) => m * power >= most / 4) ?? 10);
  c.font = FONT;
  c.textAlign = "left";
  c.textBaseline = "bottom";
  for (let v = step; v < most; v += step) {
    c.fillStyle = theme.grid;
    c.fillRect(0, Math.round(y(v)), width, 1);
    c.fillStyle = theme.dim;
    c.fillText(usdTick(v), 4, y(v));
  }
}

function curve(c: CanvasRenderingContext2D, price: Float64Array, value: Float64Array, x: (p: number) => number, y: (v: number) => number, ink: string, fill: string | null, l: Ladder, ground: number): void {
  if (!price.length) return;
  const start = x((l.bestBid + l.bestAsk) / 2);
  c.beginPath();
  c.moveTo(start, ground);
  price.forEach((p, i) => { c.lineTo(x(p), y(i ? (value[i - 1] ?? 0) : 0)); c.lineTo(x(p), y(value[i] ?? 0)); });
  c.strokeStyle = ink;
  c.lineWidth = 1.75;
  c.setLineDash(fill ? [] : [5, 3]);
  c.stroke();
  c.setLineDash([]);
  if (!fill) return;
  c.lineTo(x(price.at(-1) ?? 0), ground);
  c.fillStyle = fill;
  c.fill();
}

function crossing(c: CanvasRenderingContext2D, at: number, top: number, bottom: number, w: Wing, above: boolean, theme: Theme): void {
  c.fillStyle = theme.accent;
  c.fillRect(Math.round(at) - 0.5, top, 1, bottom - top);
  c.font = BOLD;
  c.textBaseline = "top";
  // Towards the middle, where there is room on the narrowest screen.
  c.textAlign = above ? "right" : "left";
  if (above ? at < 130 : at > c.canvas.clientWidth - 130) c.textAlign = above ? "left" : "right";
  const dx = c.textAlign === "left" ? 4 : -4;
  c.fillText(w.blind ? "forced > visible" : "forced > resting", at + dx, top + (above ? 2 : 34));
  c.fillText(axisPrice(w.crossing ?? 0), at + dx, top + (above ? 16 : 48));
}

function legend(c: CanvasRenderingContext2D, theme: Theme): void {
  const items = [["bids", theme.bid, false], ["asks", theme.ask, false], ["longs forced", theme.long, true], ["shorts forced", theme.short, true]] as const;
  c.font = FONT;
  c.textBaseline = "middle";
  c.textAlign = "left";
  let at = 6;
  for (const [name, ink, dashed] of items) {
    c.strokeStyle = ink;
    c.lineWidth = 2;
    c.setLineDash(dashed ? [4, 2] : []);
    c.beginPath();
    c.moveTo(at, 15);
    c.lineTo(at + 16, 15);
    c.stroke();
    c.setLineDash([]);
    c.fillStyle = theme.text;
    c.fillText(name, at + 20, 15);
    at += 38 + c.measureText(name).width;
  }
}

export const depthNote = (l: Ladder): string => {
  const [down, up] = [wing(l, true), wing(l, false)];
  return `${usd(down.resting.at(-1) ?? 0)} bid · ${usd(up.resting.at(-1) ?? 0)} ask in view`;
};
