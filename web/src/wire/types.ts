// Generated from src/liqfield/server/wire.py by `python -m liqfield.server.typescript`.

export const WIRE_VERSION = 1;

/**
 * Topics: "market:BTC", "candle:BTC", "map:BTC:all" (or a venue), "ladder:BTC", "clusters:BTC",
 * "tape:BTC", "health".
 *
 * The newest state comes at once, changes after it. ladder_step: USD per row, 0 = automatic;
 * another step is rounded to the nearest of 1, 2, 5 times a power of ten. Subscribing again
 * replaces step and rows.
 */
export interface Subscribe {
  readonly t: "subscribe";
  readonly topics: readonly string[];
  readonly ladderStep?: number;
  readonly ladderRows?: number;
}

export interface Unsubscribe {
  readonly t: "unsubscribe";
  readonly topics: readonly string[];
}

export interface Ping {
  readonly t: "ping";
  readonly nonce: number;
}

export interface Pong {
  readonly t: "pong";
  readonly nonce: number;
  readonly serverMs: number;
}

export interface MarketInfo {
  readonly base: string;
  readonly venues: readonly string[];
  readonly priceDecimals: number;
}

/**
 * First message of a connection. source: live, demo, replay.
 */
export interface Hello {
  readonly t: "hello";
  readonly wireVersion: number;
  readonly source: string;
  readonly serverMs: number;
  readonly markets: readonly MarketInfo[];
  readonly binWidth: number;
  readonly columnS: readonly number[];
  readonly tileColumns: number;
  readonly tileBins: number;
  readonly dataset: string;
}

/**
 * Top bar. state: live, stale, gap, down; funding_8h is OI-weighted, a fraction per 8 h.
 */
export interface Market {
  readonly t: "market";
  readonly base: string;
  readonly atMs: number;
  readonly price: number;
  readonly mark: number;
  readonly change24H: number | null;
  readonly openInterestUsd: number;
  readonly funding8H: number | null;
  readonly state: string;
  readonly detail: string;
}

/**
 * The running candle of `interval_s`, start-stamped.
 */
export interface CandleRow {
  readonly t: "candle";
  readonly base: string;
  readonly intervalS: number;
  readonly startMs: number;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
}

export interface ClusterRow {
  readonly side: string;
  readonly low: number;
  readonly high: number;
  readonly peak: number;
  readonly usd: number;
  readonly usdP10: number;
  readonly usdP90: number;
  readonly distance: number;
  readonly bandUsd: readonly [number, number, number];
  readonly venueUsd: Readonly<Record<string, number>>;
  readonly ageS: number;
  readonly growthPerH: number;
  readonly stacked: boolean;
  readonly confidence: number;
  readonly reasons: readonly string[];
}

export interface Clusters {
  readonly t: "clusters";
  readonly base: string;
  readonly atMs: number;
  readonly mark: number;
  readonly clusters: readonly ClusterRow[];
}

/**
 * Rows ascending from first_price in steps of `step`; long_usd / short_usd: liquidation mass of
 * the row (USD); delta: signed taker volume of the last minute (base coins); traded: total.
 */
export interface Ladder {
  readonly t: "ladder";
  readonly base: string;
  readonly atMs: number;
  readonly step: number;
  readonly firstPrice: number;
  readonly bid: readonly number[];
  readonly ask: readonly number[];
  readonly longUsd: readonly number[];
  readonly shortUsd: readonly number[];
  readonly delta: readonly number[];
  readonly traded: readonly number[];
  readonly bestBid: number;
  readonly bestAsk: number;
  readonly venues: readonly string[];
  readonly absent: Readonly<Record<string, string>>;
}

export interface TapeRow {
  readonly atMs: number;
  readonly venue: string;
  readonly side: string;
  readonly price: number;
  readonly usd: number;
  readonly priceKind: string;
  readonly coverage: string;
}

/**
 * Realised liquidations, newest last; the first message holds the recent past.
 */
export interface Tape {
  readonly t: "tape";
  readonly base: string;
  readonly rows: readonly TapeRow[];
}

export interface StreamRow {
  readonly venue: string;
  readonly stream: string;
  readonly state: string;
  readonly ageMs: number;
  readonly messages: number;
  readonly gaps: number;
  readonly resyncs: number;
  readonly errors: number;
  readonly detail: string;
}

export interface Health {
  readonly t: "health";
  readonly atMs: number;
  readonly streams: readonly StreamRow[];
  readonly unknown: Readonly<Record<string, number>>;
  readonly decodeErrors: number;
  readonly dropped: number;
  readonly stepUsP99: number;
  readonly notes: readonly string[];
}

/**
 * The request could not be served; said in words for a person.
 */
export interface Problem {
  readonly t: "problem";
  readonly code: string;
  readonly message: string;
}

/**
 * GET /api/v1/meta. source: live, demo, replay.
 */
export interface Meta {
  readonly name: string;
  readonly version: string;
  readonly source: string;
  readonly wireVersion: number;
  readonly serverMs: number;
  readonly dataset: string;
}

/**
 * GET /api/v1/candles/{base}; rows [start_ms, open, high, low, close, volume], ascending.
 */
export interface Candles {
  readonly base: string;
  readonly intervalS: number;
  readonly rows: readonly (readonly [number, number, number, number, number, number])[];
}

/**
 * GET /api/v1/density/{base}. notional_usd[side][band][bin]; bin k covers
 * [exp((firstBin+k) binWidth), exp((firstBin+k+1) binWidth)). p10, p90 [side][bin] are the 80 %
 * interval of the sum over bands; null for a column out of the history, which is also quantised
 * (quantisationError: largest relative error of a bin, 0 when exact).
 */
export interface Density {
  readonly base: string;
  readonly venue: string;
  readonly atMs: number;
  readonly mark: number;
  readonly binWidth: number;
  readonly firstBin: number;
  readonly bins: number;
  readonly notionalUsd: readonly (readonly (readonly number[])[])[];
  readonly p10: readonly (readonly number[])[] | null;
  readonly p90: readonly (readonly number[])[] | null;
  readonly outsideUsd: readonly [number, number];
  readonly openInterestUsd: number;
  readonly forcedShare: number;
  readonly confidence: number;
  readonly reasons: readonly string[];
  readonly quantisationError: number;
}

/**
 * GET /api/v1/value/{base}: what the crosshair reads. usd[side][band] of the bin [low, high)
 * of the column [columnStartMs, columnEndMs), as known at asOfMs; p10, p90 by side or null.
 */
export interface Value {
  readonly base: string;
  readonly venue: string;
  readonly atMs: number;
  readonly price: number;
  readonly columnStartMs: number;
  readonly columnEndMs: number;
  readonly asOfMs: number;
  readonly mark: number;
  readonly low: number;
  readonly high: number;
  readonly usd: readonly [readonly [number, number, number], readonly [number, number, number]];
  readonly p10: readonly [number, number] | null;
  readonly p90: readonly [number, number] | null;
  readonly quantisationError: number;
}

export type ClientMessage = Subscribe | Unsubscribe | Ping;

export type ServerMessage = Hello | Pong | Market | CandleRow | Clusters | Ladder | Tape | Health | Problem;
