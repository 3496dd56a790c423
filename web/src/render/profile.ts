/** The liquidation map at the right edge: dollars by price and leverage band, and cumulative curves from the mark. */
import { BAND_COLOURS } from "../state/palette";
import { usd as money } from "../state/format";
import type { Size, Viewport } from "../state/viewport";
import { FONT, type Theme } from "./theme";

export interface Profile {
  /** [side * 3 + band][bin], USD */
  readonly usd: Float32Array;
  readonly bins: number;
  readonly firstBin: number;
  readonly binWidth: number;
  readonly mark: number;
}

const ROW_PX = 3;

export interface ProfileRows {
  /** [band][row] USD, row 0 at the top */
  readonly bands: readonly [Float64Array, Float64Array, Float64Array];
  /** USD forced between the mark and the far edge of the row */
  readonly cumulative: Float64Array;
  readonly markRow: number;
}

/** Sum bins into screen rows; a bin across an edge is split by its share of log-price. */
export function profileRows(p: Profile, planes: readonly number[], v: Viewport, rows: number): ProfileRows {
  const bands = [new Float64Array(rows), new Float64Array(rows), new Float64Array(rows)] as const;
  const cumulative = new Float64Array(rows);
  const perRow = (v.y1 - v.y0) / rows;
  const mark = Math.log(p.mark);
  const markRow = (v.y1 - mark) / perRow;
  for (let k = 0; k < p.bins; k++) {
    const low = (p.firstBin + k) * p.binWidth;
    const top = (v.y1 - low - p.binWidth) / perRow;
    const bottom = (v.y1 - low) / perRow;
    const first = Math.max(0, Math.floor(top));
    const last = Math.min(rows - 1, Math.floor(bottom));
    for (let row = first; row <= last; row++) {
      const share = (Math.min(bottom, row + 1) - Math.max(top, row)) / (bottom - top);
      if (share <= 0) continue;
      for (const plane of planes) {
        const band = bands[plane % 3];
        if (band) band[row] = (band[row] ?? 0) + share * (p.usd[plane * p.bins + k] ?? 0);
      }
    }
  }
  const at = Math.floor(Math.min(rows - 1, Math.max(0, markRow)));
  const sum = (row: number): number => (bands[0][row] ?? 0) + (bands[1][row] ?? 0) + (bands[2][row] ?? 0);
  for (let row = at - 1, total = 0; row >= 0; row--) cumulative[row] = total += sum(row);
  for (let row = at + 1, total = 0; row < rows; row++) cumulative[row] = total += sum(row);
  return { bands, cumulative, markRow };
}

export function drawProfile(
  c: CanvasRenderingContext2D,
  p: Profile,
  planes: readonly number[],
  v: Viewport,
  map: Size,
  width: number,
  theme: Theme,
): void {
  const rows = Math.max(1, Math.floor(map.height / ROW_PX));
  const r = profileRows(p, planes, v, rows);
  let widest = 1;
  let most = 1;
  for (let row = 0; row < rows; row++) {
    widest = Math.max(widest, (r.bands[0][row] ?? 0) + (r.bands[1][row] ?? 0) + (r.bands[2][row] ?? 0));
    most = Math.max(most, r.cumulative[row] ?? 0);
  }
  c.save();
  c.translate(map.width, 0);
  c.fillStyle = theme.ground;
  c.fillRect(0, 0, width, map.height);
  const bar = width * 0.92;
  for (let row = 0; row < rows; row++) {
    let x = 1;
    for (let band = 0; band < 3; band++) {
      const w = (((r.bands[band as 0 | 1 | 2][row] ?? 0) / widest) * bar) || 0;
      if (w < 0.2) continue;
      c.fillStyle = BAND_COLOURS[band as 0 | 1 | 2];
      c.fillRect(x, row * ROW_PX, w, ROW_PX - 0.6);
      x += w;
    }
  }
  for (const above of [true, false]) {
    c.beginPath();
    c.strokeStyle = above ? theme.bid : theme.ask;
    c.lineWidth = 1.25;
    let started = false;
    for (let row = 0; row < rows; row++) {
      if (above ? row >= r.markRow : row <= r.markRow) continue;
      const x = 1 + ((r.cumulative[row] ?? 0) / most) * bar;
      if (started) c.lineTo(x, (row + 0.5) * ROW_PX);
      else c.moveTo(x, (row + 0.5) * ROW_PX);
      started = true;
    }
    c.stroke();
  }
  // What the full width means, so that a small map never looks like a large one.
  c.font = FONT;
  c.textAlign = "left";
  c.textBaseline = "middle";
  c.fillStyle = theme.box;
  c.fillRect(0, map.height - 32, 66, 32);
  c.fillRect(0, 0, 66, 20);
  c.fillStyle = theme.text;
  const percent = (((v.y1 - v.y0) / rows) * 100).toFixed(2);
  c.fillText(`▮ ${money(widest)}`, 3, map.height - 22);
  c.fillText(`/ ${percent} %`, 3, map.height - 9);
  c.fillText(`∑ ${money(most)}`, 3, 10);
  c.restore();
}
