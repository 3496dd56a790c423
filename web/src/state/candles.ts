/**
 * Candles of one market, by width, as far as they were asked for. They outlive the panel that draws them: a screen opened
 * while the server is silent shows what is known, and what is missing is known too, so that it is asked for again.
 */

/** start ms, open, high, low, close, volume */
export type Candle = readonly [number, number, number, number, number, number];

/** The running minute as it is told once a second. */
export interface Minute {
  readonly startMs: number;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
}

const MINUTE_MS = 60_000;
const MINUTES_KEPT = 30; // a reply brings those that are older
const ROWS_KEPT = 4000;
/** What was answered is asked for again after so long: a back-fill may have filled it since. */
const FRESH_MS = 15_000;
/** An answer that did not come is not asked for more often. */
const RETRY_MS = 2_000;

interface Width {
  rows: readonly Candle[];
  /** the stretch that was last answered */
  from: number;
  to: number;
  answeredMs: number;
  askedMs: number;
}

export class CandleStore {
  private widths = new Map<number, Width>();
  private minutes: readonly Minute[] = [];

  /** Whether [from, to) of this width must be asked for now: never answered, not all of it, or long ago. */
  wants(intervalS: number, from: number, to: number, wallMs: number): boolean {
    const held = this.widths.get(intervalS);
    if (!held) return true;
    if (held.askedMs > held.answeredMs && wallMs - held.askedMs < RETRY_MS) return false; // on its way
    // Its end is the running candle, which `tell` brings forward.
    const whole = held.from <= from && to <= held.to + 2 * intervalS * 1000;
    return !whole || wallMs - held.answeredMs > FRESH_MS;
  }

  asked(intervalS: number, wallMs: number): void {
    this.of(intervalS).askedMs = wallMs;
  }

  /** An answer: inside [from, to) it replaces what is held, outside nothing is lost. */
  put(intervalS: number, from: number, to: number, rows: readonly Candle[], wallMs: number): void {
    const held = this.of(intervalS);
    const before = held.rows.filter((row) => row[0] < from);
    const after = held.rows.filter((row) => row[0] >= to);
    held.rows = [...before, ...rows, ...after].slice(-ROWS_KEPT);
    Object.assign(held, { from, to, answeredMs: wallMs });
  }

  /** A line that was cut: whatever came in between is missing. Everything is asked for anew, and nothing is thrown away. */
  doubt(): void {
    for (const held of this.widths.values()) held.answeredMs = held.askedMs = -Infinity;
  }

  forget(): void {
    this.widths.clear();
    this.minutes = [];
  }

  tell(minute: Minute): void {
    const others = this.minutes.filter((m) => m.startMs !== minute.startMs);
    this.minutes = [...others, minute].slice(-MINUTES_KEPT);
  }

  /** What there is to draw in a width: its own candles, or else those of another width that reach into [from, to). */
  drawn(intervalS: number, from: number, to: number): { readonly rows: readonly Candle[]; readonly intervalS: number } {
    const inside = (held: Width | undefined): boolean => held?.rows.some((row) => row[0] >= from && row[0] < to) ?? false;
    const nearest = [...this.widths.keys()].sort((a, b) => Math.abs(Math.log(a / intervalS)) - Math.abs(Math.log(b / intervalS)));
    const found = nearest.find((width) => inside(this.widths.get(width)));
    const chosen = found ?? intervalS;
    return { rows: withMinutes(this.widths.get(chosen)?.rows ?? [], chosen, this.minutes), intervalS: chosen };
  }

  private of(intervalS: number): Width {
    const held = this.widths.get(intervalS);
    if (held) return held;
    const made = { rows: [], from: 0, to: 0, answeredMs: -Infinity, askedMs: -Infinity };
    this.widths.set(intervalS, made);
    return made;
  }
}

/** The newest candle moves with the price: minutes told since belong to it, or begin the next. */
export function withMinutes(rows: readonly Candle[], intervalS: number, minutes: readonly Minute[]): readonly Candle[] {
  const last = rows.at(-1);
  if (!last) return rows; // minutes alone would be a day's chart of one candle
  const span = intervalS * 1000;
  const out = [...rows];
  for (const m of [...minutes].sort((a, b) => a.startMs - b.startMs)) {
    const start = Math.floor(m.startMs / span) * span;
    const newest = out.at(-1) ?? last;
    if (start < newest[0]) continue;
    if (start > newest[0]) { out.push([start, m.open, m.high, m.low, m.close, m.volume]); continue; }
    const alone = span === MINUTE_MS;
    out[out.length - 1] = [
      start, newest[1], Math.max(newest[2], m.high), Math.min(newest[3], m.low), m.close, alone ? m.volume : newest[5],
    ];
  }
  return out;
}
