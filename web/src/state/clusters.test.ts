import { describe, expect, it } from "vitest";
import { spread } from "./clusters";

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
