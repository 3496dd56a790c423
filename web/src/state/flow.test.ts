import { describe, expect, it } from "vitest";
import type { FootprintRow, TapeRow } from "../wire/types";
import { footprint, forcedBy } from "./flow";

const bar = (firstRow: number, rows: number): FootprintRow => ({
  startMs: 0, endMs: 60_000, step: 0.5, firstRow, bid: Array.from({ length: rows }, (_, i) => i + 1), ask: Array.from({ length: rows }, () => 2),
  imbalance: Array.from({ length: rows }, () => 0), pocRow: firstRow + rows - 1, valueLowRow: firstRow, valueHighRow: firstRow + rows - 1, stacked: [], unfinishedHigh: false, unfinishedLow: false,
});

describe("footprint", () => {
  it("keeps every coin when rows are grouped, on one lattice", () => {
    for (const [a, b, rows] of [[1000, 7, 5], [1003, 60, 12], [-20, 200, 24]] as const) {
      const made = footprint([bar(a, b), bar(a + 11, b)], 2, rows);
      if (!made) throw new Error("no footprint");
      expect(made.high - made.low).toBeLessThanOrEqual(rows);
      for (const g of made.bars) {
        const sum = [...g.cells.values()].reduce((n, c) => n + c.bid + c.ask, 0);
        expect(sum).toBeCloseTo((b * (b + 1)) / 2 + 2 * b, 9);
        expect(g.volume).toBeCloseTo(sum, 9);
        expect(g.cells.has(g.poc)).toBe(true);
        for (const k of g.cells.keys()) expect(k >= made.low && k <= made.high).toBe(true);
      }
    }
  });
  it("says nothing of no bars", () => expect(footprint([], 4, 20)).toBeNull());
});

it("forced dollars fall into their slot and side", () => {
  const row = (atMs: number, side: string, usd: number): TapeRow => ({ atMs, venue: "okx", side, price: 1, usd, priceKind: "", coverage: "" });
  const [long, short] = forcedBy([row(0, "long", 5), row(99, "short", 7), row(100, "long", 9), row(50, "long", 1)], 0, 100, 4);
  expect([...long]).toEqual([5, 0, 1, 0]);
  expect([...short]).toEqual([0, 0, 0, 7]);
});
