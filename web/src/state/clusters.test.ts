import { describe, expect, it } from "vitest";
import type { ClusterRow, Clusters, PathRow } from "../wire/types";
import { atLeast, edgeWord, interval, noneOf, outOfView, pathSaid, reasonOf, spread, thresholds } from "./clusters";

const row = (side: string, peak: number, usd = 84e6): ClusterRow => ({
  side, low: peak * 0.999, high: peak * 1.001, peak, usd, usdP10: 40e6, usdP90: 120e6, distance: peak / 100 - 1, bandUsd: [1, 2, 3], venueUsd: {}, ageS: 1,
  growthPerH: 0, stacked: false, confidence: 0.5, reasons: [], path: null,
});
const message = (rows: ClusterRow[], minUsd = 50e6, reach = 0.15): Clusters => ({ t: "clusters", base: "BTC", atMs: 1, mark: 100, clusters: rows, minUsd, reach, defaultUsd: minUsd, defaultWhy: "share" });

describe("the smallest cluster", () => {
  it("leaves out what is smaller, and cannot add what was not told", () => {
    const told = message([row("long", 97, 60e6), row("short", 103, 200e6)]);
    expect(atLeast(told, 0)).toBe(told);
    expect(atLeast(told, 10e6)).toBe(told);
    const large = atLeast(told, 100e6);
    expect([large.minUsd, large.defaultUsd, large.clusters.map((k) => k.usd)]).toEqual([100e6, 50e6, [200e6]]);
  });
  it("can be chosen in round steps around what counts, and stays to be seen", () => {
    expect(thresholds(27e6, 0)).toEqual([1e6, 2e6, 5e6, 10e6, 20e6, 50e6, 100e6, 200e6]);
    expect(thresholds(27e6, 500e6).at(-1)).toBe(500e6);
    expect(thresholds(0, 0)[0]).toBeGreaterThan(0);
  });
  it("says why so much counts", () => {
    const told = message([], 30e6);
    expect(reasonOf(told, 14.8e9)).toBe("0.2 % of $14.8B open interest: less is no fuel for this market");
    expect(reasonOf({ ...told, defaultUsd: 50e6, defaultWhy: "most" }, 40e9)).toBe("0.2 % of $40.0B open interest, never more than $50M");
    expect(reasonOf({ ...told, defaultWhy: "setting" }, 14.8e9)).toContain("cluster_min_usd");
  });
});

describe("a side without a cluster", () => {
  it("says what there is none of, and how far was looked", () => {
    expect(noneOf(message([row("short", 103)]), "long")).toBe("no cluster ≥ $50M within 14 % below");
    expect(noneOf(message([row("long", 97)]), "short")).toBe("no cluster ≥ $50M within 16 % above");
    expect(noneOf(message([row("long", 97)]), "long")).toBeNull();
  });
  it("claims no threshold that it was not told", () => expect(noneOf(message([], 0, 0), "long")).toBe("no cluster below"));
  it("names the nearest that is out of view, and only then", () => {
    const both = message([row("long", 91, 60e6), row("long", 95)]);
    expect(outOfView(both, "long", 96, 104)).toBe("$84.0M long · −5.0 % ↓");
    expect(outOfView(both, "long", 90, 94)).toBeNull();
    expect(outOfView(both, "long", 97, 104)).toBe("$84.0M long · −5.0 % ↓");
    expect(outOfView(both, "short", 96, 104)).toBeNull();
    expect(outOfView(message([row("long", 95)]), "long", 80, 90)).toBe("$84.0M long · −5.0 % ↑");
  });
  it("invents no interval for the past", () => {
    expect(interval(row("long", 95))).toBe(" · $40.0M–$120M");
    expect(interval({ ...row("long", 95), usdP10: null, usdP90: null })).toBe("");
  });
});

describe("labels", () => {
  it("never overlap, keep their order and stay inside", () => {
    const random = (seed: number) => () => (seed = (seed * 16807) % 2147483647) / 2147483647;
    for (let trial = 1; trial < 200; trial++) {
      const r = random(trial);
      const wanted = Array.from({ length: 1 + Math.floor(r() * 6) }, () => r() * 300);
      const got = spread(wanted, 25, 10, 290);
      const pairs = wanted.map((y, i) => [y, got[i]] as const).sort((a, b) => a[0] - b[0]);
      for (const [i, [, y]] of pairs.entries()) {
        expect(y).not.toBeNull();
        expect(y).toBeGreaterThanOrEqual(10 - 1e-9);
        expect(y).toBeLessThanOrEqual(290 + 1e-9);
        const before = pairs[i - 1]?.[1];
        if (before !== undefined && before !== null) expect((y ?? 0) - before).toBeGreaterThanOrEqual(25 - 1e-9);
      }
    }
  });
  it("leaves a free label where it wants to be", () => expect(spread([50, 200], 25, 0, 300)).toEqual([50, 200]));
  it("drops those without room", () => expect(spread([1, 2, 3, 4], 25, 0, 50).filter((y) => y === null)).toHaveLength(1));
});

describe("what the map says of a path", () => {
  const path = (pathClass: string, confluence: string, ratio: number | null = 0.4): PathRow => ({
    pathClass, confluence, ratio, restingUsd: 1, usualUsd: 2, stressedUsdP10: 0, stressedUsdP90: 1, forcedUsd: 1, visibleShare: 1, edgeUsd: 1, edgeChange: null, reasons: [],
  });
  it("is class, ratio and confluence, and the class last of all to go", () => {
    expect(pathSaid(path("hollow", "thinning"))).toEqual(["▢ hollow 0.4× · thinning", "▢ hollow · thinning", "▢ hollow 0.4×", "▢ hollow"]);
    expect(pathSaid(path("defended", "steady", 2.61))).toEqual(["▣ defended 2.6×", "▣ defended"]);
  });
  it("keeps silent about what is ordinary or not known", () => {
    expect(pathSaid(path("neutral", "steady"))).toEqual([]);
    expect(pathSaid(path("neutral", "building"))).toEqual(["building"]);
    expect(pathSaid(path("unknown", "unknown", null))).toEqual([]);
    expect(["unknown", "steady"].map((word) => edgeWord(path("hollow", word)))).toEqual(["", ""]);
  });
});
