/** Where a running cascade may stop, in words. Pure. */
import type { OutlookRow } from "../wire/types";
import { axisPrice, percent, usd } from "./format";

/** A rest shorter than this is none: cascade/outlook.py says the same. */
const OVER = 0.001;

export interface OutlookWords {
  /** "may stop at", or that it may be over already */
  readonly verb: string;
  readonly stop: string;
  readonly distance: string;
  /** ascending prices that hold 80 % of such moves */
  readonly fan: string;
  /** what may still be forced; "" without a map */
  readonly forced: string;
  readonly forcedFan: string;
  readonly source: string;
}

export function outlookWords(o: OutlookRow, price: number): OutlookWords {
  const [low, high] = [Math.min(o.stopPriceNear, o.stopPriceFar), Math.max(o.stopPriceNear, o.stopPriceFar)];
  const rest = price > 0 ? o.stopPrice / price - 1 : 0;
  const moves = o.moves === 1 ? "1 earlier move" : `${o.moves} earlier moves`;
  return {
    verb: Math.abs(rest) < OVER ? "may be over at" : "may stop at",
    stop: axisPrice(o.stopPrice),
    distance: percent(rest, 1),
    fan: `${axisPrice(low)}–${axisPrice(high)}`,
    forced: o.forcedUsd ? usd(o.forcedUsd[1]) : "",
    forcedFan: o.forcedUsd ? `${usd(o.forcedUsd[0])}–${usd(o.forcedUsd[2])}` : "",
    source: o.moves > 0 ? `estimate: how far ${moves} of this market went, and a prior` : "estimate: a prior alone, no earlier move of this market was seen",
  };
}
