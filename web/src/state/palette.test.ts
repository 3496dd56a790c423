import { describe, expect, it } from "vitest";
import { colour, lightness, binsNear, scaleFrom, shareOf, table, type Scale } from "./palette";

/** OKLab lightness of an sRGB colour, by the forward transform. */
function measured([r, g, b]: readonly number[]): number {
  const lin = [r, g, b].map((c) => (c ?? 0) / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  const [x = 0, y = 0, z = 0] = lin;
  const l = Math.cbrt(0.4122214708 * x + 0.5363325363 * y + 0.0514459929 * z);
  const m = Math.cbrt(0.2119034982 * x + 0.6806995451 * y + 0.1073969566 * z);
  const s = Math.cbrt(0.0883024619 * x + 0.2817188376 * y + 0.6299787005 * z);
  return 0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s;
}

describe("colour map", () => {
  for (const light of [false, true]) {
    it(`is even in measured lightness (${light ? "light" : "dark"})`, () => {
      for (let i = 0; i <= 64; i++) expect(Math.abs(measured(colour(i / 64, light)) - lightness(i / 64, light))).toBeLessThan(0.012);
    });
  }
  const log: Scale = { kind: "log", low: 1e4, high: 1e6, ranks: new Float32Array() };
  it("says dollars by colour whatever the tile's own scale is", () => {
    const a = table(log, 100, 2e9, 1, false);
    const b = table(log, 1000, 2e8, 1, false);
    const at = (t: Uint8Array, floor: number, top: number, usd: number): number => t[4 * (2 + Math.round((253 * Math.log(usd / floor)) / Math.log(top / floor)))] ?? 0;
    for (const usd of [3e4, 1e5, 5e5]) expect(Math.abs(at(a, 100, 2e9, usd) - at(b, 1000, 2e8, usd))).toBeLessThan(12);
    expect([...a.slice(0, 4)]).toEqual([0, 0, 0, 0]);
  });
  it("spreads ranks evenly", () => {
    const ranks = Float32Array.from({ length: 256 }, (_, i) => 10 ** (i / 64));
    expect(shareOf({ ...log, kind: "rank", ranks }, ranks[128] ?? 0)).toBeCloseTo(128 / 255, 5);
  });
});

describe("scale", () => {
  const map = (factor: number): Float32Array => Float32Array.from({ length: 600 }, (_, i) => factor * Math.exp((i % 100) / 20));
  it("covers the map with contrast and stands still under small changes", () => {
    const first = scaleFrom(map(1e4), 100, "log", null);
    if (!first) throw new Error("no scale");
    expect(first.high / first.low).toBeGreaterThan(8);
    expect(scaleFrom(map(1.3e4), 100, "log", first)).toMatchObject({ low: first.low, high: first.high });
    expect(scaleFrom(map(1e5), 100, "log", first)?.high).toBeGreaterThan(first.high * 4);
  });
  it("looks at the bins around the mark, not at the mass far out", () => {
    const grid = { bins: 2000, firstBin: Math.floor(Math.log(100) / 0.0005) - 1000, binWidth: 0.0005 };
    const usd = Float32Array.from({ length: 12_000 }, (_, i) => (Math.abs((i % 2000) - 1000) > 300 ? 1e8 : 1e5 + (i % 100) * 1e3));
    const [from, to] = binsNear(grid, 100);
    expect([from, to].map((k) => Math.round(Math.exp((grid.firstBin + k) * 0.0005)))).toEqual([89, 113]);
    expect(scaleFrom(usd, 2000, "log", null, [from, to])?.high).toBeLessThan(2e6);
  });
  it("says nothing of an empty map", () => expect(scaleFrom(new Float32Array(600), 100, "log", null)).toBeNull());
});
