/** Predicted against realised: hours as mirrored bars, calibration on log axes. */
import { clock, day, usdTick } from "../state/format";
import { calibrationSpan } from "../state/truth";
import type { CalibrationRow, TruthHour } from "../wire/types";
import { FONT, type Theme } from "./theme";

const FOOT = 18;
const SCALE_PX = 42; // room for the dollars at the left

/** Forecast: a hollow bar with its 80 % whisker; print: a filled bar beside it. Shorts above, longs below the line. */
export function drawHours(c: CanvasRenderingContext2D, hours: readonly TruthHour[], width: number, height: number, utc: boolean, theme: Theme, sides: readonly (0 | 1)[] = [0, 1]): void {
  c.clearRect(0, 0, width, height);
  const n = Math.max(hours.length, 1);
  const each = (width - SCALE_PX) / Math.max(n, 6);
  const left = width - n * each;
  // A few huge hours must not flatten the rest: the axis is a square root, and says so by its ticks.
  const most = Math.max(1, ...hours.flatMap((h) => sides.flatMap((i) => [h.predictedUsd[i], h.realisedUsd[i], Math.min(h.p90Usd[i], 3 * h.predictedUsd[i])])));
  // A side alone has the whole height.
  const tall = height - FOOT;
  const half = sides.length > 1 ? tall / 2 : sides[0] === 1 ? tall - 3 : 3;
  const span = (usd: number): number => Math.sqrt(Math.min(usd, most) / most) * (sides.length > 1 ? half - 12 : tall - 18);
  axis(c, most, half, span, width, theme, sides);
  hours.forEach((h, i) => {
    const x = left + i * each;
    const w = Math.min(14, Math.max(1.5, each * 0.4));
    sides.forEach((side) => {
      const up = side === 1;
      const y = (usd: number): number => (up ? half - span(usd) : half + span(usd));
      const bar = (at: number, usd: number, fill: boolean): void => {
        const [a, b] = [Math.min(half, y(usd)), Math.max(half, y(usd))];
        if (fill) c.fillRect(at, a, w, b - a);
        else c.strokeRect(at + 0.5, a + 0.5, Math.max(1, w - 1), Math.max(0, b - a - 1));
      };
      c.lineWidth = 1;
      c.strokeStyle = theme.accent;
      c.fillStyle = up ? theme.short : theme.long;
      bar(x, h.predictedUsd[side] ?? 0, false);
      c.beginPath();
      c.moveTo(x + w / 2, y(h.p10Usd[side] ?? 0));
      c.lineTo(x + w / 2, y(h.p90Usd[side] ?? 0));
      if ((h.p90Usd[side] ?? 0) > most) {
        // It goes on beyond the frame.
        const [end, back] = [y(most), up ? 4 : -4];
        c.moveTo(x + w / 2 - 2.5, end + back);
        c.lineTo(x + w / 2, end);
        c.lineTo(x + w / 2 + 2.5, end + back);
      }
      c.globalAlpha = 0.5;
      c.stroke();
      c.globalAlpha = 1;
      bar(x + w + 1, h.realisedUsd[side] ?? 0, true);
      // Nothing printed is seen too.
      c.fillRect(x + w + 1, up ? half - 2 : half, w, 2);
    });
  });
  c.font = FONT;
  c.fillStyle = theme.dim;
  c.textBaseline = "middle";
  c.textAlign = "center";
  const every = Math.max(1, Math.ceil(52 / each));
  hours.forEach((h, i) => {
    const x = Math.min(left + (i + 0.5) * each, width - 18);
    if (i % every === 0 && x > 22) c.fillText(n > 36 ? day(h.startMs, utc) : clock(h.startMs, utc), x, height - FOOT / 2);
  });
}

function axis(c: CanvasRenderingContext2D, most: number, half: number, span: (usd: number) => number, width: number, theme: Theme, sides: readonly (0 | 1)[]): void {
  c.font = FONT;
  c.textAlign = "left";
  c.textBaseline = "bottom";
  c.fillStyle = theme.edge;
  c.fillRect(0, Math.round(half), width, 1);
  const power = 10 ** Math.floor(Math.log10(most));
  for (const usd of [power / 10, power]) {
    if (span(usd) < 12) continue;
    const heights = sides.map((side) => half + (side === 1 ? -1 : 1) * span(usd));
    c.fillStyle = theme.grid;
    for (const y of heights) c.fillRect(0, Math.round(y), width, 1);
    c.fillStyle = theme.dim;
    c.fillText(usdTick(usd), 2, Math.min(...heights));
  }
}

/** Log-log, both axes alike: on the diagonal the forecast holds. Longs are ▼, shorts ▲. */
export function drawCalibration(c: CanvasRenderingContext2D, rows: readonly CalibrationRow[], width: number, height: number, theme: Theme): void {
  c.clearRect(0, 0, width, height);
  const edges = calibrationSpan(rows);
  if (!edges) return;
  const [low, high] = edges;
  const left = 46;
  const bottom = height - 34;
  // What is smaller stands on the edge: left out it would look as if it never happened.
  const at = (v: number): number => Math.max(0, (Math.log10(Math.max(v, 1e-9)) - low) / (high - low));
  const x = (v: number): number => left + at(v) * (width - left - 8);
  const y = (v: number): number => bottom - at(v) * (bottom - 8);
  c.font = FONT;
  for (let p = Math.ceil(low); p <= high; p++) {
    const v = 10 ** p;
    c.fillStyle = theme.grid;
    c.fillRect(x(v), 8, 1, bottom - 8);
    c.fillRect(left, y(v), width - left - 8, 1);
    c.fillStyle = theme.dim;
    c.textAlign = "center";
    c.textBaseline = "top";
    c.fillText(usdTick(v), x(v), bottom + 4);
    c.textAlign = "right";
    c.textBaseline = "middle";
    c.fillText(usdTick(v), left - 5, y(v));
  }
  c.strokeStyle = theme.dim;
  c.setLineDash([4, 4]);
  c.beginPath();
  c.moveTo(x(10 ** low), y(10 ** low));
  c.lineTo(x(10 ** high), y(10 ** high));
  c.stroke();
  c.setLineDash([]);
  c.textBaseline = "middle";
  c.textAlign = "center";
  for (const r of rows) {
    c.strokeStyle = c.fillStyle = r.side === "long" ? theme.long : theme.short;
    c.lineWidth = 1.5;
    c.beginPath();
    c.moveTo(x(r.predictedUsd), y(r.realisedLow));
    c.lineTo(x(r.predictedUsd), y(r.realisedHigh));
    c.stroke();
    c.fillText(r.side === "long" ? "▼" : "▲", x(r.predictedUsd), y(r.realisedUsd));
  }
  c.fillStyle = theme.dim;
  c.textAlign = "right";
  c.fillText("mean predicted an hour", width - 8, height - 8);
  c.textAlign = "left";
  c.fillText("mean printed", left + 4, 12);
}
