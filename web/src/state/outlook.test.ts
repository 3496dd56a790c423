import { expect, test } from "vitest";
import { outlookWords } from "./outlook";

const ROW = { stopPrice: 58_120, stopPriceNear: 58_500, stopPriceFar: 57_700, forcedUsd: [9e6, 41e6, 120e6], moves: 12 } as const;

test("a long cascade reads downwards, its fan upwards", () => {
  const w = outlookWords(ROW, 58_600);
  expect(`${w.verb} ${w.stop} (80 %: ${w.fan}) ${w.distance}`).toBe("may stop at 58,120 (80 %: 57,700–58,500) \u22120.8 %");
  expect(`${w.forced} (80 %: ${w.forcedFan})`).toBe("$41.0M (80 %: $9.00M–$120M)");
  expect(w.source).toContain("12 earlier moves");
});

test("a short cascade keeps its fan ascending", () => {
  expect(outlookWords({ ...ROW, stopPriceNear: 58_000, stopPriceFar: 58_900 }, 57_900).fan).toBe("58,000–58,900");
});

test("what is over, without a map or without a past says so", () => {
  const w = outlookWords({ ...ROW, forcedUsd: null, moves: 0 }, 58_150);
  expect(w.verb).toBe("may be over at");
  expect(w.forced + w.forcedFan).toBe("");
  expect(w.source).toContain("a prior alone");
});
