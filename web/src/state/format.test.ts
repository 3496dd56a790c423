import { describe, expect, it } from "vitest";
import { plain, tidy, usd, usdTick, venuesWord } from "./format";

describe("figures", () => {
  it("have no sign where they round to nothing", () => {
    expect([plain(-0.04, 1), plain(-0.05001, 1), plain(0, 1), plain(3.14159, 2)]).toEqual(["0.0", "\u22120.1", "0.0", "3.14"]);
  });
  it("of dollars round up to the next word", () => {
    expect([usd(999.4), usd(999.6), usd(999_600), usd(-2.5e6), usdTick(1.249e6)]).toEqual(["$999", "$1.0k", "$1.00M", "\u2212$2.50M", "$1.2M"]);
  });
  it("in sentences look as everywhere else, and words keep their hyphens", () => {
    expect(tidy("open interest -0.48 % since, 267% of the 5-minute usual")).toBe("open interest \u22120.48 % since, 267 % of the 5-minute usual");
  });
  it("of venues claim no number that is not known", () => {
    expect([0, 1, 4].map(venuesWord)).toEqual(["venues", "1 venue", "4 venues"]);
  });
});
