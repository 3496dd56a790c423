import { describe, expect, it } from "vitest";
import type { CalibrationRow, TruthHour } from "../wire/types";
import { calibrationSpan, scored } from "./truth";

const hour = (predicted: number, realised: number): TruthHour => ({
  startMs: 0, spanS: 3600, markOpen: 1, markLow: 1, markHigh: 1, predictedUsd: [predicted, 1], p10Usd: [predicted / 2, 0], p90Usd: [predicted * 2, 0], realisedUsd: [realised, 0], flatUsd: [0, 0],
});
const bin = (predictedUsd: number, realisedUsd: number): CalibrationRow => ({ side: "long", predictedUsd, realisedUsd, realisedLow: 0, realisedHigh: realisedUsd * 1.5, n: 14 });

describe("the score of the hours that are shown", () => {
  it("has its ratio and its shares of the very hours whose sums stand beside them", () => {
    expect(scored([hour(10, 5), hour(10, 45), hour(10, 19)], 0)).toEqual({ predictedUsd: 30, realisedUsd: 69, ratio: 30 / 69, held: 2, n: 3 });
  });
  it("has no ratio where nothing printed", () => {
    expect(scored([hour(10, 5)], 1)).toEqual({ predictedUsd: 1, realisedUsd: 0, ratio: null, held: 1, n: 1 });
    expect(scored([], 0)).toEqual({ predictedUsd: 0, realisedUsd: 0, ratio: null, held: 0, n: 0 });
  });
});

describe("the axes of the calibration", () => {
  it("hold every point of like size, with room", () => {
    const [low, high] = calibrationSpan([bin(1e5, 2e5), bin(1e7, 8e6)]) ?? [0, 0];
    expect(low).toBeLessThan(5);
    expect(high).toBeGreaterThan(Math.log10(1.2e7));
  });
  it("are not stretched by hours of which next to nothing was said", () => {
    const [low, high] = calibrationSpan([bin(5e-4, 1e5), bin(1e7, 8e6)]) ?? [0, 0];
    expect(high - low).toBeCloseTo(4);
  });
  it("are none where there is nothing", () => expect(calibrationSpan([bin(0, 0)])).toBeNull());
});
