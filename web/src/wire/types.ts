// Generated from src/liqfield/server/wire.py by `python -m liqfield.server.typescript`.

export const WIRE_VERSION = 1;

/**
 * Topics: "market:BTC", "candle:BTC", "map:BTC:all" (or a venue), "ladder:BTC", "clusters:BTC",
 * "tape:BTC", "flow:BTC", "context:BTC", "truth:BTC", "health".
 *
 * The newest state comes at once, changes after it. ladder_step: USD per row, 0 = automatic;
 * another step is rounded to the nearest of 1, 2, 5 times a power of ten. ladder_venue: the book
 * and the map of that venue alone, "" = all of them. cluster_min_usd: the smallest cluster that is
 * told, 0 = what counts in this market; rounded as the step. Subscribing again replaces all four.
 */
export interface Subscribe {
  readonly t: "subscribe";
  readonly topics: readonly string[];
  readonly ladderStep?: number;
  readonly ladderRows?: number;
  readonly ladderVenue?: string;
  readonly clusterMinUsd?: number;
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
 * Where a cascade that runs may stop, by how far earlier moves went (cascade/outlook.py).
 *
 * Half of such moves stop before stop_price, 80 % between near and far. forced_usd: what may still
 * be forced, [10 %, 50 %, 90 %], null without a map. moves: of this market, beside a prior.
 */
export interface OutlookRow {
  readonly stopPrice: number;
  readonly stopPriceNear: number;
  readonly stopPriceFar: number;
  readonly forcedUsd: readonly [number, number, number] | null;
  readonly moves: number;
}

/**
 * Top bar. state: live, stale, gap, down; funding_8h is OI-weighted, a fraction per 8 h.
 *
 * cascade: calm, approaching, running, absorbing, exhausted; None while nothing tracks it.
 * cascade_side: the position side that is being liquidated. outlook: while forced orders run.
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
  readonly cascade: string | null;
  readonly cascadeSide: string | null;
  readonly outlook: OutlookRow | null;
}

/**
 * Written into the page (script#first): all that its first picture needs.
 *
 * tile: the default view as one tile (docs/wire.md), deflated, base64; "" while there is no map.
 * candles of candle_s: [start_ms, open, high, low, close, volume], ascending.
 */
export interface First {
  readonly hello: Hello;
  readonly market: Market;
  readonly clusters: Clusters | null;
  readonly tile: string;
  readonly candleS: number;
  readonly candles: readonly (readonly [number, number, number, number, number, number])[];
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

/**
 * The way from the price to a cluster's near edge (model.analytics.PathView), USD.
 *
 * path_class: defended, neutral, hollow, unknown; confluence: building, thinning, steady, unknown.
 */
export interface PathRow {
  readonly pathClass: string;
  readonly restingUsd: number;
  readonly usualUsd: number | null;
  readonly ratio: number | null;
  readonly stressedUsdP10: number;
  readonly stressedUsdP90: number;
  readonly forcedUsd: number;
  readonly visibleShare: number;
  readonly confluence: string;
  readonly edgeUsd: number;
  readonly edgeChange: number | null;
  readonly reasons: readonly string[];
}

/**
 * path: None while no book says how the way is defended. A cluster of the past has neither
 * path nor interval nor age: the history keeps amounts alone.
 */
export interface ClusterRow {
  readonly side: string;
  readonly low: number;
  readonly high: number;
  readonly peak: number;
  readonly usd: number;
  readonly usdP10: number | null;
  readonly usdP90: number | null;
  readonly distance: number;
  readonly bandUsd: readonly [number, number, number];
  readonly venueUsd: Readonly<Record<string, number>>;
  readonly ageS: number | null;
  readonly growthPerH: number;
  readonly stacked: boolean;
  readonly confidence: number;
  readonly reasons: readonly string[];
  readonly path: PathRow | null;
}

/**
 * What stands out within `reach` (log-distance) of the mark and holds min_usd or more.
 *
 * default_usd: min_usd of a reader who names none. default_why: "share" (of the open interest),
 * "most" (so much counts in any market), "setting" (of whoever runs the server).
 */
export interface Clusters {
  readonly t: "clusters";
  readonly base: string;
  readonly atMs: number;
  readonly mark: number;
  readonly clusters: readonly ClusterRow[];
  readonly minUsd: number;
  readonly reach: number;
  readonly defaultUsd: number;
  readonly defaultWhy: string;
}

/**
 * A large resting order. state: standing, growing, held, partly_filled, filled, pulled;
 * multiple: of the usual size at that distance; distance: signed fraction of the mid.
 */
export interface WallRow {
  readonly venue: string;
  readonly isBid: boolean;
  readonly price: number;
  readonly usd: number;
  readonly multiple: number;
  readonly ageS: number;
  readonly state: string;
  readonly filledUsd: number;
  readonly pulledUsd: number;
  readonly distance: number;
}

/**
 * Rows ascending from first_price in steps of `step`; long_usd / short_usd: liquidation mass of
 * the row (USD); delta: signed taker volume of the last minute (base coins); traded: total.
 *
 * walls: those inside the rows, None while nothing watches them. microprice: size-weighted mid of
 * the reference venue. best_bid above best_ask: venues disagree by that much.
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
  readonly walls: readonly WallRow[] | null;
  readonly microprice: number | null;
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

/**
 * kind: absorption, wall_pulled, wall_filled, layering, flip, whale_push, stacked_imbalance,
 * cascade; is_bid: the resting side concerned; outcome: running, held, broken, done.
 */
export interface FlowEventRow {
  readonly atMs: number;
  readonly kind: string;
  readonly venue: string;
  readonly price: number;
  readonly isBid: boolean | null;
  readonly usd: number;
  readonly score: number;
  readonly durationS: number;
  readonly outcome: string;
  readonly text: string;
}

/**
 * State of the cascade tracker with its evidence (model.analytics.CascadeView).
 */
export interface CascadeRow {
  readonly state: string;
  readonly side: string | null;
  readonly sinceMs: number;
  readonly forcedUsd: number;
  readonly intensityUsdPerMin: number;
  readonly peakUsdPerMin: number;
  readonly branching: number | null;
  readonly openInterestChange: number | null;
  readonly efficiency: number | null;
  readonly refill: number | null;
  readonly fuelUsd: number | null;
  readonly fuelDistance: number | null;
  readonly evidence: readonly string[];
  readonly outlook: OutlookRow | null;
}

/**
 * One bar: base coins by row of `step` USD upwards from first_row * step. bid: sold into bids,
 * ask: bought from asks; imbalance +1 buy, -1 sell; stacked: [first, last] rows.
 */
export interface FootprintRow {
  readonly startMs: number;
  readonly endMs: number;
  readonly step: number;
  readonly firstRow: number;
  readonly bid: readonly number[];
  readonly ask: readonly number[];
  readonly imbalance: readonly number[];
  readonly pocRow: number;
  readonly valueLowRow: number;
  readonly valueHighRow: number;
  readonly stacked: readonly (readonly [number, number])[];
  readonly unfinishedHigh: boolean;
  readonly unfinishedLow: boolean;
}

/**
 * Order-flow measures of a venue now; beta: USD per coin of order-flow imbalance.
 */
export interface VenueFlowRow {
  readonly venue: string;
  readonly ofi: number | null;
  readonly ofiMulti: number | null;
  readonly beta: number | null;
  readonly betaR2: number | null;
  readonly queueImbalance: number | null;
  readonly microprice: number | null;
}

/**
 * The Flow panel: at most 720 buckets of the last hour (REST: of `span_s`), 16 bars of 80 rows
 * and 100 events (newest last).
 *
 * cvd: signed taker volume since the UTC day began, base coins, pooled and by venue on the same
 * buckets. divergence: +1 price rises while the flow sells, -1 the other way, 0 neither.
 */
export interface Flow {
  readonly t: "flow";
  readonly base: string;
  readonly atMs: number;
  readonly bucketMs: number;
  readonly startMs: readonly number[];
  readonly price: readonly number[];
  readonly cvd: readonly number[];
  readonly cvdByVenue: Readonly<Record<string, readonly number[]>>;
  readonly divergence: number;
  readonly bars: readonly FootprintRow[];
  readonly venues: readonly VenueFlowRow[];
  readonly events: readonly FlowEventRow[];
  readonly cascade: CascadeRow | null;
}

export interface FundingRow {
  readonly venue: string;
  readonly rate8H: number;
  readonly nextMs: number;
  readonly basis: number | null;
}

/**
 * A stretch in which books are likely thin, and why.
 */
export interface ThinWindow {
  readonly startMs: number;
  readonly endMs: number;
  readonly why: string;
}

/**
 * Slow context. thin: why the present hour is thin; thin_windows: past 8 and next 2 days.
 *
 * cot_*_net: base coins, positive = net long; as of cot_as_of (a Tuesday), published later.
 */
export interface Context {
  readonly t: "context";
  readonly base: string;
  readonly atMs: number;
  readonly funding8H: number | null;
  readonly funding: readonly FundingRow[];
  readonly openInterestUsd: number;
  readonly openInterestChange1H: number | null;
  readonly openInterestChange24H: number | null;
  readonly ratios: Readonly<Record<string, number>>;
  readonly session: string;
  readonly nextSession: string;
  readonly nextSessionMs: number;
  readonly thin: readonly string[];
  readonly thinWindows: readonly ThinWindow[];
  readonly cotAsOf: string;
  readonly cotLeveragedNet: number | null;
  readonly cotAssetManagerNet: number | null;
  readonly quirks: readonly string[];
}

/**
 * One interval (an hour); pairs are [long, short], USD. The map was made before it began and is
 * summed over the prices that the mark then crossed; flat_usd knows the path and no map.
 */
export interface TruthHour {
  readonly startMs: number;
  readonly spanS: number;
  readonly markOpen: number;
  readonly markLow: number;
  readonly markHigh: number;
  readonly predictedUsd: readonly [number, number];
  readonly p10Usd: readonly [number, number];
  readonly p90Usd: readonly [number, number];
  readonly realisedUsd: readonly [number, number];
  readonly flatUsd: readonly [number, number];
}

/**
 * `n` intervals of like forecast: mean predicted and mean realised USD, the latter with its
 * 80 % interval.
 */
export interface CalibrationRow {
  readonly side: string;
  readonly predictedUsd: number;
  readonly realisedUsd: number;
  readonly realisedLow: number;
  readonly realisedHigh: number;
  readonly n: number;
}

/**
 * A score of the map. baseline: what it is compared with, "" = nothing. value: None while n is
 * too small; low, high: 80 % interval by day blocks, None while there are fewer than two days.
 */
export interface SkillRow {
  readonly side: string;
  readonly measure: string;
  readonly baseline: string;
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
  readonly n: number;
}

/**
 * Predicted against realised liquidations (GET /api/v1/truth/{base}). Pairs are [long, short].
 *
 * total_ratio: predicted / realised; coverage: share of intervals whose realised USD lay inside
 * [p10, p90] (coverage_stated is promised); both None where nothing can be said. hours: none while
 * the first interval runs, which ends at next_ms. notes: what the prints can and cannot show.
 * running: the interval up to at_ms, on the path so far; None where its beginning was missed, then
 * the first one that is scored begins at next_ms. venue: "all", or the one that is scored alone.
 */
export interface Truth {
  readonly t: "truth";
  readonly base: string;
  readonly atMs: number;
  readonly nextMs: number;
  readonly venues: readonly string[];
  readonly hours: readonly TruthHour[];
  readonly totalRatio: readonly [number | null, number | null];
  readonly coverage: readonly [number | null, number | null];
  readonly coverageStated: number;
  readonly calibration: readonly CalibrationRow[];
  readonly skill: readonly SkillRow[];
  readonly notes: readonly string[];
  readonly running: TruthHour | null;
  readonly venue: string;
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
  readonly queue: number;
  readonly budgets: Readonly<Record<string, number>>;
  readonly lagMs: Readonly<Record<string, number>>;
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

/**
 * GET /api/v1/projection/{base}: forced flow followed through resting depth from start_price
 * until it stops. near, far: 10 % of draws travel less / farther; beyond_share: draws that run
 * past the last price. path_*: cumulative USD from the start outwards, path_price their edges.
 */
export interface ProjectionReply {
  readonly base: string;
  readonly atMs: number;
  readonly side: string;
  readonly pushUsd: number;
  readonly startPrice: number;
  readonly stopPrice: number;
  readonly stopPriceNear: number;
  readonly stopPriceFar: number;
  readonly forcedUsd: number;
  readonly forcedUsdP10: number;
  readonly forcedUsdP90: number;
  readonly beyondShare: number;
  readonly pathPrice: readonly number[];
  readonly pathForcedUsd: readonly number[];
  readonly pathDepthUsd: readonly number[];
}

export type ClientMessage = Subscribe | Unsubscribe | Ping;

export type ServerMessage = Hello | Pong | Market | CandleRow | Clusters | Ladder | Tape | Flow | Context | Truth | Health | Problem;
