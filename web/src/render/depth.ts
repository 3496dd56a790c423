/** Depth chart: resting dollars outwards from the mid, and the forced dollars that would meet them. */
import { axisPrice, usd } from "../state/format";
import type { Ladder } from "../wire/types";
import { midRow } from "./ladder";
import { FONT, type Theme } from "./theme";

export interface DepthCurves {
  /** by distance in rows from the mid, cumulative USD */
  readonly bid: Float64Array;
  readonly ask: Float64Array;
  readonly forcedLong: Float64Array;
  readonly forcedShort: Float64Array;
}

export function depthCurves(l: Ladder): DepthCurves {
  const mid = midRow(l);
  const below = mid + 1;
  const above = l.bid.length - mid;
  const out = {
    bid: new Float64Array(below),
    ask: new Float64Array(above),
    forcedLong: new Float64Array(below),
    forcedShort: new Float64Array(above),
  };
  for (let d = 0, rest = 0, forced = 0; d < below; d++) {
    const i = mid - d;
    out.bid[d] = rest += (l.bid[i] ?? 0) * (l.firstPrice + i * l.step);
    out.forcedLong[d] = forced += l.longUsd[i] ?? 0;
  }
  for (let d = 0, rest = 0, forced = 0; d < above; d++) {
    const i = mid + d;
    out.ask[d] = rest += (l.ask[i] ?? 0) * (l.firstPrice + i * l.step);
    out.forcedShort[d] = forced += l.shortUsd[i] ?? 0;
  }
  return out;
}

export function drawDepth(c: CanvasRenderingContext2D, l: Ladder, width: number, height: number, theme: Theme): void {
  c.clearRect(0, 0, width, height);
  const curves = depthCurves(l);
  const foot = 18;
  const plot = height - foot - 6;
  const rows = Math.max(curves.bid.length, curves.ask.length, 2);
  let most = 1;
  for (const curve of Object.values(curves) as Float64Array[]) most = Math.max(most, curve.at(-1) ?? 0);
  const half = width / 2;
  const line = (curve: Float64Array, sign: number, colour: string, fill: string | null, dash: number[]): void => {
    c.beginPath();
    c.moveTo(half, plot + 6);
    curve.forEach((value, d) => c.lineTo(half + sign * (d / (rows - 1)) * half, 6 + plot * (1 - value / most)));
    c.setLineDash(dash);
    c.strokeStyle = colour;
    c.lineWidth = 1.5;
    c.stroke();
    c.setLineDash([]);
    if (!fill) return;
    c.lineTo(half + sign * half, plot + 6);
    c.lineTo(half, plot + 6);
    c.fillStyle = fill;
    c.fill();
  };
  line(curves.bid, -1, theme.bid, theme.bidFill, []);
  line(curves.ask, 1, theme.ask, theme.askFill, []);
  line(curves.forcedLong, -1, "#f2a33c", null, [4, 3]);
  line(curves.forcedShort, 1, "#f2a33c", null, [4, 3]);
  c.font = FONT;
  c.fillStyle = theme.dim;
  c.textBaseline = "middle";
  c.textAlign = "left";
  const mid = midRow(l);
  c.fillText(axisPrice(l.firstPrice + Math.max(0, mid - rows + 1) * l.step), 4, height - 8);
  c.fillText(`top ${usd(most)} · resting filled, forced dashed`, 4, 14);
  c.textAlign = "right";
  c.fillText(axisPrice(l.firstPrice + (mid + rows - 1) * l.step), width - 4, height - 8);
  c.textAlign = "center";
  c.fillText(axisPrice((l.bestBid + l.bestAsk) / 2), half, height - 8);
}
