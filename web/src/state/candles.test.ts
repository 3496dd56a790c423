import { expect, test } from "vitest";
import { CandleStore, withMinutes, type Candle, type Minute } from "./candles";

const S = 300;
const bar = (i: number, close = 10 + i): Candle => [i * S * 1000, 10, 20, 5, close, 1];
const minute = (startMs: number, close: number, high = close, low = close): Minute => ({ startMs, open: close, high, low, close, volume: 1 });
const starts = (rows: readonly Candle[]): number[] => rows.map((row) => row[0] / S / 1000);

test("a failed answer is asked for again soon, a good one later", () => {
  const store = new CandleStore();
  const wants = (now: number): boolean => store.wants(S, 0, 10 * S * 1000, now);
  expect(wants(0)).toBe(true);
  store.asked(S, 0);
  expect(wants(1_000)).toBe(false); // on its way
  expect(wants(2_500)).toBe(true); // it never came
  store.asked(S, 2_500);
  store.put(S, 0, 10 * S * 1000, [bar(0)], 2_600);
  expect(wants(10_000)).toBe(false);
  expect(wants(20_000)).toBe(true);
});

test("a view that reaches out of what was answered is asked for", () => {
  const store = new CandleStore();
  store.asked(S, 0);
  store.put(S, 10 * S * 1000, 20 * S * 1000, [], 0);
  expect(store.wants(S, 10 * S * 1000, 20 * S * 1000, 3_000)).toBe(false);
  expect(store.wants(S, 9 * S * 1000, 20 * S * 1000, 3_000)).toBe(true);
  expect(store.wants(S, 10 * S * 1000, 30 * S * 1000, 3_000)).toBe(true);
  expect(store.wants(60, 10 * S * 1000, 20 * S * 1000, 3_000)).toBe(true);
});

test("after a silence the hole is filled and nothing known is lost", () => {
  const store = new CandleStore();
  store.asked(S, 0);
  store.put(S, 0, 5 * S * 1000, [bar(0), bar(1), bar(2)], 0);
  store.doubt();
  expect(store.wants(S, 0, 9 * S * 1000, 1)).toBe(true);
  expect(starts(store.drawn(S, 0, 9 * S * 1000).rows)).toEqual([0, 1, 2]); // stale, and there
  store.put(S, 2 * S * 1000, 9 * S * 1000, [bar(2, 77), bar(3), bar(4), bar(5)], 5);
  const { rows } = store.drawn(S, 0, 9 * S * 1000);
  expect(starts(rows)).toEqual([0, 1, 2, 3, 4, 5]);
  expect(rows[2]?.[4]).toBe(77); // the later statement of a candle that was running
});

test("a width that was never answered shows another one, in its own width", () => {
  const store = new CandleStore();
  store.put(900, 0, 9e6, [[0, 1, 2, 1, 2, 1], [900_000, 2, 3, 2, 3, 1]], 0);
  store.put(86400, 0, 9e7, [[0, 1, 2, 1, 2, 1]], 0);
  expect(store.drawn(300, 0, 2e6).intervalS).toBe(900);
  expect(store.drawn(300, 5e7, 6e7)).toEqual({ rows: [], intervalS: 300 }); // neither reaches there
});

test("the running minute moves the newest candle and begins the next", () => {
  const rows = withMinutes([bar(0), bar(1)], S, [minute(540_000, 30, 31, 4), minute(600_000, 12), minute(60_000, 99)]);
  expect(starts(rows)).toEqual([0, 1, 2]);
  expect(rows[0]).toEqual(bar(0)); // a minute of a candle that is complete changes nothing
  expect(rows[1]).toEqual([300_000, 10, 31, 4, 30, 1]);
  expect(rows[2]?.[4]).toBe(12);
  expect(withMinutes([], S, [minute(0, 1)])).toEqual([]);
});
