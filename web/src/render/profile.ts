/** The liquidation map at the right edge: dollars by price and leverage band, and cumulative curves from the mark. */
import { usd as money } from "../state/format";
import type { MapLayout } from "../state/layout";
import type { Viewport } from "../state/viewport";
import type { MapNow } from "../worker/protocol";
import { FONT, type Theme } from "./theme";

const ROW_PX = 3;

export interface ProfileRows {
  /** [band][row] USD, row 0 at the top */
  readonly bands: readonly [Float64Array, Float64Array, Float64Array];
  /** USD forced between the mark and the far edge of the row */
  readonly cumulative: Float64Array;
  readonly markRow: number;
}

/** Sum bins into screen rows; a bin across an edge is split by its share of log-price. */
export function profileRows(p: MapNow, planes: readonly number[], v: Viewport, rows: number, mark: number): ProfileRows {
  const bands = [new Float64Array(rows), new Float64Array(rows), new Float64Array(rows)] as const;
  const cumulative = new Float64Array(rows);
  const perRow = (v.y1 - v.y0) / rows;
  const markRow = (v.y1 - Math.log(mark)) / perRow;
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

/** mark: where the curves start, 0 = no curves (a moment of the past whose mark is not known). */
export function drawProfile(
  c: CanvasRenderingContext2D,
  p: MapNow,
  planes: readonly number[],
  v: Viewport,
  layout: MapLayout,
  mark: number,
  theme: Theme,
): void {
  const { map, profileWidth: width } = layout;
  const rows = Math.max(1, Math.floor(map.height / ROW_PX));
  const r = profileRows(p, planes, v, rows, mark || Math.exp(v.y0));
  let widest = 1;
  let most = 1;
  for (let row = 0; row < rows; row++) {
    widest = Math.max(widest, (r.bands[0][row] ?? 0) + (r.bands[1][row] ?? 0) + (r.bands[2][row] ?? 0));
    most = Math.max(most, r.cumulative[row] ?? 0);
  }
  c.save();
  c.translate(map.width, 0);
  c.beginPath();
  c.rect(0, 0, width, map.height);
  c.clip();
  c.fillStyle = theme.panel;
  c.fillRect(0, 0, width, map.height);
  const bar = width - 4;
  for (let row = 0; row < rows; row++) {
    let x = 1;
    for (let band = 0; band < 3; band++) {
      const w = (((r.bands[band as 0 | 1 | 2][row] ?? 0) / widest) * bar) || 0;
      if (w < 0.2) continue;
      c.fillStyle = theme.bands[band as 0 | 1 | 2];
      c.fillRect(x, row * ROW_PX, w, ROW_PX - 0.75);
      x += w;
    }
  }
  if (mark > 0) for (const above of [true, false]) curve(c, r, rows, most, bar, above, theme);
  scale(c, layout, widest, mark > 0 ? most : 0, (v.y1 - v.y0) / rows, theme);
  c.restore();
}

function curve(c: CanvasRenderingContext2D, r: ProfileRows, rows: number, most: number, bar: number, above: boolean, theme: Theme): void {
  c.beginPath();
  c.moveTo(1, r.markRow * ROW_PX);
  const at = Math.floor(Math.min(rows - 1, Math.max(0, r.markRow)));
  for (let row = above ? at - 1 : at + 1; row >= 0 && row < rows; row += above ? -1 : 1) c.lineTo(1 + ((r.cumulative[row] ?? 0) / most) * bar, (row + 0.5) * ROW_PX);
  // A dark rim keeps the line apart from bright bars.
  c.strokeStyle = theme.panel;
  c.lineWidth = 4;
  c.stroke();
  c.strokeStyle = above ? theme.short : theme.long;
  c.lineWidth = 1.75;
  c.stroke();
}

/** What the full width means, so that a small map never looks like a large one. */
function scale(c: CanvasRenderingContext2D, { map, profileWidth }: MapLayout, widest: number, most: number, perRow: number, theme: Theme): void {
  c.font = FONT;
  c.textAlign = "right";
  c.textBaseline = "middle";
  const line = (y: number, text: string): void => {
    const w = c.measureText(text).width + 6;
    c.fillStyle = theme.box;
    c.fillRect(profileWidth - w, y - 8, w, 16);
    c.fillStyle = theme.text;
    c.fillText(text, profileWidth - 3, y);
  };
  if (most) line(9, `∑ ${money(most)}`);
  line(map.height - 24, `▮ ${money(widest)}`);
  line(map.height - 9, `per ${(perRow * 100).toFixed(perRow < 0.001 ? 2 : 1)} %`);
}
