import { describe, expect, it } from "vitest";
import type { Ladder, WallRow } from "../wire/types";
import { anchored, firstRow, frameOf, HEAD_PX, midRow, nextStep, rowAtY, wallsByRow, wayTo, yOfRow } from "./ladder";

const rows = 120;
const ladder = (bestBid: number, step = 10): Ladder => {
  const first = Math.floor(bestBid / step) - rows / 2;
  const fill = (f: (k: number) => number): number[] => Array.from({ length: rows }, (_, i) => f(first + i));
  const at = Math.floor((bestBid + 0.05) / step);
  return {
    t: "ladder", base: "BTC", atMs: 1, step, firstPrice: first * step, bestBid, bestAsk: bestBid + 0.1, venues: [], absent: {}, walls: null, microprice: null,
    bid: fill((k) => (k <= at ? 2 : 0)), ask: fill((k) => (k > at ? 3 : 0)), longUsd: fill((k) => (k < at - 3 ? 100 : 0)), shortUsd: fill(() => 0), delta: fill(() => 0), traded: fill(() => 0),
  };
};

describe("rows", () => {
  it("are found where they are drawn, with the spread line between the sides", () => {
    const l = ladder(84_212);
    for (const anchor of [midRow(l), midRow(l) + 9, midRow(l) - 200, midRow(l) + 200]) {
      const f = frameOf(l, anchor, 700);
      for (let k = f.top; k > f.top - f.rows; k--) expect(rowAtY(f, yOfRow(f, k) + 1)).toBe(k);
      expect(rowAtY(f, HEAD_PX - 1)).toBeNull();
    }
    const f = frameOf(l, midRow(l), 700);
    expect(rowAtY(f, yOfRow(f, f.split) - 2)).toBeNull();
  });
  it("stand still while the price stays in the middle half", () => {
    const l = ladder(84_212);
    const at = anchored(null, l, 700);
    expect(at).toBe(midRow(l));
    expect(anchored(at, ladder(84_252), 700)).toBe(at);
    expect(anchored(at, ladder(84_512), 700)).toBe(midRow(ladder(84_512)));
  });
  it("sum the way to a row", () => {
    const l = ladder(84_212);
    const at = midRow(l);
    expect(wayTo(l, at - 5).forcedUsd).toBe(200);
    expect(wayTo(l, at).restingUsd).toBeCloseTo(2 * (at + 0.5) * 10, 6);
    expect(wayTo(l, at + 1).restingUsd).toBeCloseTo(3 * (at + 1.5) * 10, 6);
    expect(firstRow(l)).toBe(at - rows / 2);
  });
});

it("steps run 1, 2, 5", () => {
  let step = 0.1;
  const up = Array.from({ length: 6 }, () => (step = nextStep(step, true)));
  expect(up).toEqual([0.2, 0.5, 1, 2, 5, 10]);
  const down = Array.from({ length: 6 }, () => (step = nextStep(step, false)));
  expect(down).toEqual([5, 2, 1, 0.5, 0.2, 0.1]);
});

it("a pulled wall outranks a standing one in the same row", () => {
  const wall = (state: string, multiple: number): WallRow => ({ venue: "okx", isBid: true, price: 84_111, usd: 1, multiple, ageS: 1, state, filledUsd: 0, pulledUsd: 0, distance: 0 });
  const l = { ...ladder(84_212), walls: [wall("standing", 9), wall("pulled", 3)] };
  expect([...wallsByRow(l).values()].map((w) => w.state)).toEqual(["pulled"]);
});
