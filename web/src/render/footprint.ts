/** The footprint: what was sold into bids and bought from asks, by row and bar. */
import { clock, rowPrice, signedSize, size } from "../state/format";
import type { Footprint, GroupedBar } from "../state/flow";
import { BOLD, FONT, type Theme } from "./theme";

const ROW = 15;
const HEAD = 18;
const FOOT = 32;
const PRICE = 54;
export const BAR_PX = 92;

export const barsIn = (width: number): number => Math.max(1, Math.floor((width - PRICE) / BAR_PX));
export const heightOf = (f: Footprint): number => HEAD + (f.high - f.low + 1) * ROW + FOOT;

export function drawFootprint(c: CanvasRenderingContext2D, f: Footprint, width: number, utc: boolean, theme: Theme): void {
  const height = heightOf(f);
  c.clearRect(0, 0, width, height);
  c.textBaseline = "middle";
  c.font = FONT;
  for (let k = f.high; k >= f.low; k--) {
    const y = HEAD + (f.high - k) * ROW;
    c.fillStyle = theme.dim;
    c.textAlign = "right";
    c.fillText(rowPrice(k * f.step, f.step), width - 2, y + ROW / 2);
  }
  const each = (width - PRICE) / f.bars.length;
  f.bars.forEach((bar, i) => drawBar(c, f, bar, i * each, Math.min(each, BAR_PX * 1.6), utc, theme));
}

function drawBar(c: CanvasRenderingContext2D, f: Footprint, g: GroupedBar, x: number, width: number, utc: boolean, theme: Theme): void {
  const middle = x + width / 2;
  c.font = FONT;
  c.textAlign = "center";
  c.fillStyle = theme.dim;
  c.fillText(clock(g.bar.startMs, utc), middle, HEAD / 2);
  for (const [k, cell] of g.cells) {
    if (cell.bid + cell.ask <= 0) continue;
    const y = HEAD + (f.high - k) * ROW;
    const half = width / 2 - 5;
    c.fillStyle = theme.askFill;
    const left = (cell.bid / f.largest) * half;
    c.fillRect(middle - left, y + 1, left, ROW - 2);
    c.fillStyle = theme.bidFill;
    c.fillRect(middle, y + 1, (cell.ask / f.largest) * half, ROW - 2);
    // An imbalance is bold and in its side's colour; the arrow says it without colour.
    c.font = cell.imbalance < 0 ? BOLD : FONT;
    c.fillStyle = cell.imbalance < 0 ? theme.ask : theme.text;
    c.textAlign = "right";
    c.fillText(`${cell.imbalance < 0 ? "◂" : ""}${size(cell.bid)}`, middle - 3, y + ROW / 2 + 0.5);
    c.font = cell.imbalance > 0 ? BOLD : FONT;
    c.fillStyle = cell.imbalance > 0 ? theme.bid : theme.text;
    c.textAlign = "left";
    c.fillText(`${size(cell.ask)}${cell.imbalance > 0 ? "▸" : ""}`, middle + 3, y + ROW / 2 + 0.5);
    if (k === g.poc) {
      c.strokeStyle = theme.accent;
      c.lineWidth = 1;
      c.strokeRect(x + 2.5, y + 0.5, width - 5, ROW - 1);
    }
  }
  // The value area as a bar at the left.
  c.fillStyle = theme.accent;
  c.globalAlpha = 0.6;
  c.fillRect(x, HEAD + (f.high - g.valueHigh) * ROW, 2, (g.valueHigh - g.valueLow + 1) * ROW);
  c.globalAlpha = 1;
  const foot = HEAD + (f.high - f.low + 1) * ROW;
  c.textAlign = "center";
  c.font = BOLD;
  c.fillStyle = g.delta >= 0 ? theme.bid : theme.ask;
  c.fillText(`Δ ${signedSize(g.delta)}`, middle, foot + 9);
  c.font = FONT;
  c.fillStyle = theme.dim;
  c.fillText(`Σ ${size(g.volume) || "0"}${g.bar.unfinishedHigh ? " ⊤" : ""}${g.bar.unfinishedLow ? " ⊥" : ""}`, middle, foot + 23);
}
