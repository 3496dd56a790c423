/** Price, cumulative volume delta and forced flow on one time axis, with what happened marked on the price. */
import { axisPrice, clock, signedSize, usdTick } from "../state/format";
import { extent, forcedBy, SHAPES, type Stretch } from "../state/flow";
import { timeTicks } from "../state/viewport";
import type { Flow, FlowEventRow, TapeRow } from "../wire/types";
import { BOLD, FONT, TITLE, type Theme } from "./theme";

export interface CvdState {
  readonly flow: Flow;
  readonly tape: readonly TapeRow[];
  readonly stretch: Stretch;
  readonly width: number;
  readonly height: number;
  readonly utc: boolean;
  readonly theme: Theme;
}

const AXIS = 54;
const FOOT = 20;

/** Heights of the three lanes. */
const lanes = (height: number): { price: [number, number]; cvd: [number, number]; forced: [number, number] } => {
  const h = height - FOOT;
  return { price: [20, h * 0.38], cvd: [h * 0.38 + 26, h * 0.74], forced: [h * 0.74 + 40, h - 2] };
};

export function drawCvd(c: CanvasRenderingContext2D, s: CvdState): void {
  const { flow, width, height, theme } = s;
  c.clearRect(0, 0, width, height);
  const plot = width - AXIS;
  const x = (ms: number): number => ((ms - s.stretch.t0) / (s.stretch.t1 - s.stretch.t0)) * plot;
  const lane = lanes(height);
  time(c, s, x, plot);
  title(c, "price", lane.price[0], theme);
  line(c, s, flow.price, extent(flow.price, s.stretch.from), lane.price, x, theme.text, 1.5, axisPrice);
  events(c, s, x, lane.price, extent(flow.price, s.stretch.from));
  title(c, `CVD, ${flow.base}, from the left edge: pooled and by venue`, lane.cvd[0], theme);
  cvd(c, s, lane.cvd, x);
  const some = forced(c, s, lane.forced, plot);
  title(c, `forced: ▲ shorts bought, ▼ longs sold${some ? "" : " · none printed"}`, lane.forced[0], theme);
}

function title(c: CanvasRenderingContext2D, text: string, y: number, theme: Theme): void {
  c.font = FONT;
  c.fillStyle = theme.dim;
  c.textAlign = "left";
  c.textBaseline = "alphabetic";
  c.fillText(text, 0, y - 6);
}

function time(c: CanvasRenderingContext2D, s: CvdState, x: (ms: number) => number, plot: number): void {
  const view = { t0: s.stretch.t0, t1: s.stretch.t1, y0: 0, y1: 1 };
  const offset = s.utc ? 0 : -new Date(view.t1).getTimezoneOffset() * 60_000;
  c.font = FONT;
  c.textAlign = "center";
  c.textBaseline = "middle";
  for (const t of timeTicks(view, { width: plot, height: 1 }, offset)) {
    c.fillStyle = s.theme.grid;
    c.fillRect(Math.round(x(t.ms)), 12, 1, s.height - FOOT - 12);
    c.fillStyle = s.theme.dim;
    if (x(t.ms) > 14 && x(t.ms) < plot - 10) c.fillText(clock(t.ms, s.utc), x(t.ms), s.height - FOOT / 2);
  }
}

function line(
  c: CanvasRenderingContext2D, s: CvdState, values: readonly number[], [low, high]: readonly [number, number], [top, bottom]: readonly [number, number],
  x: (ms: number) => number, ink: string, width: number, label: ((v: number) => string) | null,
): void {
  const y = (v: number): number => bottom - ((v - low) / (high - low)) * (bottom - top);
  c.beginPath();
  for (let i = s.stretch.from; i < values.length; i++) c.lineTo(x((s.flow.startMs[i] ?? 0) + s.flow.bucketMs), y(values[i] ?? 0));
  c.strokeStyle = ink;
  c.lineWidth = width;
  c.lineJoin = "round";
  c.stroke();
  const last = values.at(-1);
  if (!label || last === undefined) return;
  const at = (v: number): number => Math.min(bottom - 5, Math.max(top + 5, y(v)));
  c.textAlign = "right";
  c.textBaseline = "middle";
  // Highest and lowest of the stretch give the line its scale, where the newest leaves room.
  c.font = FONT;
  c.fillStyle = s.theme.dim;
  const shown = values.slice(s.stretch.from);
  for (const v of [Math.max(...shown), Math.min(...shown)]) if (Math.abs(at(v) - at(last)) > 13) c.fillText(label(v), s.width, at(v));
  c.font = BOLD;
  c.fillStyle = ink;
  c.fillText(label(last), s.width, at(last));
}

const VENUE_DASH: readonly number[][] = [[], [6, 3], [2, 2], [8, 3, 2, 3], [1, 3]];

function cvd(c: CanvasRenderingContext2D, s: CvdState, lane: readonly [number, number], x: (ms: number) => number): void {
  const { flow, theme } = s;
  const venues = Object.entries(flow.cvdByVenue);
  // From the start of the stretch, so that venues and pool can be compared.
  const rebased = (values: readonly number[]): number[] => values.map((v) => v - (values[s.stretch.from] ?? 0));
  const pooled = rebased(flow.cvd);
  const all = [pooled, ...venues.map(([, v]) => rebased(v))];
  const spans = all.map((v) => extent(v, s.stretch.from));
  const range = [Math.min(...spans.map((r) => r[0])), Math.max(...spans.map((r) => r[1]))] as const;
  const [top, bottom] = lane;
  const zero = bottom - ((0 - range[0]) / (range[1] - range[0])) * (bottom - top);
  if (zero > top && zero < bottom) { c.fillStyle = theme.edge; c.fillRect(0, Math.round(zero), s.width - AXIS, 1); }
  let at = 0;
  venues.forEach(([venue], i) => {
    c.setLineDash(VENUE_DASH[i % VENUE_DASH.length] ?? []);
    line(c, s, all[i + 1] ?? [], range, lane, x, theme.dim, 1, null);
    // The dash is the venue's sign.
    c.strokeStyle = theme.dim;
    c.beginPath();
    c.moveTo(at, bottom + 10);
    c.lineTo(at + 18, bottom + 10);
    c.stroke();
    c.setLineDash([]);
    c.font = FONT;
    c.fillStyle = theme.dim;
    c.textAlign = "left";
    c.textBaseline = "middle";
    c.fillText(venue, at + 22, bottom + 10);
    at += 34 + c.measureText(venue).width;
  });
  const last = pooled.at(-1) ?? 0;
  line(c, s, pooled, range, lane, x, last >= 0 ? theme.bid : theme.ask, 2.25, signedSize);
}

function forced(c: CanvasRenderingContext2D, s: CvdState, [top, bottom]: readonly [number, number], plot: number): boolean {
  const slots = Math.max(1, Math.floor(plot / 4));
  const [long, short] = forcedBy(s.tape, s.stretch.t0, s.stretch.t1, slots);
  const most = Math.max(1, ...long, ...short);
  const middle = (top + bottom) / 2;
  const half = (bottom - top) / 2 - 1;
  c.fillStyle = s.theme.edge;
  c.fillRect(0, Math.round(middle), plot, 1);
  for (let i = 0; i < slots; i++) {
    const up = ((short[i] ?? 0) / most) * half;
    const down = ((long[i] ?? 0) / most) * half;
    c.fillStyle = s.theme.short;
    if (up) c.fillRect(i * 4, middle - Math.max(1, up), 3, Math.max(1, up));
    c.fillStyle = s.theme.long;
    if (down) c.fillRect(i * 4, middle + 1, 3, Math.max(1, down));
  }
  c.font = FONT;
  c.fillStyle = s.theme.dim;
  c.textAlign = "right";
  c.textBaseline = "middle";
  if (most > 1) c.fillText(usdTick(most), s.width, top + 5);
  return most > 1;
}

function events(c: CanvasRenderingContext2D, s: CvdState, x: (ms: number) => number, [top, bottom]: readonly [number, number], [low, high]: readonly [number, number]): void {
  c.textAlign = "center";
  c.textBaseline = "middle";
  // Marks on the price: what happened far from it is in the list below.
  for (const e of s.flow.events) {
    if (e.atMs < s.stretch.t0 || e.atMs > s.stretch.t1 || e.price < low || e.price > high) continue;
    const y = bottom - ((e.price - low) / (high - low)) * (bottom - top);
    c.fillStyle = inkOf(e, s.theme);
    // Walls come and go by the hundred: small marks; what is rare is large.
    const rare = e.kind !== "wall_pulled" && e.kind !== "wall_filled";
    c.font = rare ? TITLE : FONT;
    c.globalAlpha = rare ? 1 : 0.55;
    c.fillText(SHAPES[e.kind] ?? "•", x(e.atMs), y);
  }
  c.globalAlpha = 1;
}

export const inkOf = (e: FlowEventRow, theme: Theme): string => (e.kind === "wall_pulled" || e.kind === "cascade" ? theme.accent : e.isBid === null ? theme.text : e.isBid ? theme.bid : theme.ask);
