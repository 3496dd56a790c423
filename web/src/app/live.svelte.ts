/** What the page knows: the newest message of each topic, and the worker behind it. */
import { CandleStore } from "../state/candles";
import { atLeast } from "../state/clusters";
import type { Clusters, Context, Flow, Health, Hello, Ladder, Market, TapeRow, Truth } from "../wire/types";
import type { Filters, FromWorker, LadderWish, PlacedTile, Reading, TileView, ToWorker, Wish } from "../worker/protocol";
import { carried, unpack, type Picture } from "./first";
import type { Panel } from "./kept";

const TAPE_KEPT = 2000;
// Between two messages the market's clock runs on with ours, but never past what could have happened.
const COAST_MS = 1500;
const MARKETS_KEPT = 8;
/** A worker that could not even be fetched is asked for again. */
const WORKER_RETRY_MS = 2000;

/** Topics that only one panel looks at: the others cost the phone nothing. */
const OF_PANEL: Readonly<Record<Panel, readonly string[]>> = {
  map: ["candle"],
  ladder: ["ladder"],
  flow: ["flow"],
  truth: ["truth"],
};

/** What was last told of one market: shown as old when the user comes back to it while the server is silent. */
interface Told {
  readonly market: Market | null;
  readonly clusters: Clusters | null;
  readonly ladder: Ladder | null;
  readonly flow: Flow | null;
  readonly context: Context | null;
  readonly truth: Truth | null;
  readonly tape: readonly TapeRow[];
  readonly marketHeardMs: number;
}
const NOTHING: Told = { market: null, clusters: null, ladder: null, flow: null, context: null, truth: null, tape: [], marketHeardMs: 0 };

export class Live {
  hello = $state.raw<Hello | null>(null);
  market = $state.raw<Market | null>(null);
  clusters = $state.raw<Clusters | null>(null);
  ladder = $state.raw<Ladder | null>(null);
  flow = $state.raw<Flow | null>(null);
  context = $state.raw<Context | null>(null);
  truth = $state.raw<Truth | null>(null);
  health = $state.raw<Health | null>(null);
  tape = $state.raw<readonly TapeRow[]>([]);
  status = $state<"connecting" | "open" | "closed">("connecting");
  /** whether the socket was ever open: before, what is shown came with the page */
  opened = $state(false);
  /** how often a socket opened: what was asked for by hand is asked for again with each */
  opens = $state(0);
  private openedMs = $state(0);
  private marketHeardMs = $state(0);
  loading = $state(0);
  failed = $state("");
  heardMs = $state(0);
  base = $state("");
  filters = $state.raw<Filters>({ venue: "all", sides: [true, true], bands: [true, true, true] });
  /** what the map shows: so many hours, and whether the user said so */
  hours = $state(24);
  rangeChosen = false;
  onTile: (tile: PlacedTile) => void = () => undefined;
  onForget: () => void = () => undefined;
  /** The first picture stands: what can wait may come. */
  onDrawn: () => void = () => undefined;
  onLive: (message: Extract<FromWorker, { k: "live" }>) => void = () => undefined;
  /** The default view that came with the page; null when none did. */
  picture: Promise<Picture | null> = Promise.resolve(null);
  private ladderWish: LadderWish = { step: 0, rows: 120, venue: "" };
  private leastUsd = 0;
  private panels: readonly Panel[] = ["map"];
  private told = new Map<string, Told>();
  private stores = new Map<string, CandleStore>();
  private readings = new Map<number, (reading: Reading | null) => void>();
  private next = 0;
  private worker = this.start();

  constructor() {
    this.begin();
    document.addEventListener("visibilitychange", () => !document.hidden && this.say({ k: "wake" }));
  }

  private start(): Worker {
    const worker = new Worker(new URL("../worker/worker.ts", import.meta.url), { type: "module" });
    let spoke = false;
    worker.onmessage = (event: MessageEvent<FromWorker>) => { spoke = true; this.hear(event.data); };
    worker.onerror = () => {
      if (spoke) return; // a fault of one message; the worker lives
      this.status = "closed";
      setTimeout(() => {
        this.worker = this.start();
        this.subscribe();
        this.onForget(); // the map says anew what is on screen
      }, WORKER_RETRY_MS);
    };
    const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`;
    worker.postMessage({ k: "open", url, origin: location.origin } satisfies ToWorker);
    return worker;
  }

  /** What the server wrote into the page: the map is drawn before the socket says a word. */
  private begin(): void {
    const first = carried();
    if (!first) return;
    this.message(first.hello);
    this.message(first.market);
    if (first.clusters) this.message(first.clusters);
    this.picture = unpack(first);
    const links = [...document.querySelectorAll<HTMLLinkElement>("link[rel=preload][as=fetch]")].filter((l) => matchMedia(l.media).matches);
    const named = links.map((l) => [l.href, new URL(l.href).pathname.replace("/api/v1/tiles/", "")] as const);
    this.say({ k: "expect", names: named.map(([, name]) => name) });
    for (const [href, name] of named) {
      void fetch(href, { mode: "cors", credentials: "same-origin" })
        .then(async (reply) => ({ bytes: reply.ok ? await reply.arrayBuffer() : null, etag: reply.headers.get("ETag") ?? "" }))
        .catch(() => ({ bytes: null, etag: "" }))
        .then(({ bytes, etag }) => this.say({ k: "seed", name, bytes, etag }, bytes ? [bytes] : []));
    }
  }

  /** Time of the market, which in a replay is not ours; 0 while it is not known. */
  nowMs(): number {
    if (!this.market) return 0;
    return this.market.atMs + Math.min(COAST_MS, Math.max(0, Date.now() - this.marketHeardMs));
  }

  /** Whether the market was told since the line is up: a server that comes back may first have none. */
  get fresh(): boolean {
    return this.marketHeardMs >= this.openedMs;
  }

  /** When what is shown was told, 0 = nothing is shown. */
  get shownMs(): number {
    return this.market ? this.marketHeardMs : 0;
  }

  candles(base: string): CandleStore {
    const store = this.stores.get(base) ?? new CandleStore();
    this.stores.delete(base);
    this.stores.set(base, store); // newest last
    for (const oldest of this.stores.keys()) {
      if (this.stores.size <= MARKETS_KEPT) break;
      this.stores.delete(oldest);
    }
    return store;
  }

  get decimals(): number {
    return this.hello?.markets.find((m) => m.base === this.base)?.priceDecimals ?? 2;
  }

  get venues(): readonly string[] {
    return this.hello?.markets.find((m) => m.base === this.base)?.venues ?? [];
  }

  /** What an empty screen waits for. */
  get waiting(): string {
    if (this.status !== "open") return this.opened ? `The server does not answer, and nothing of ${this.base} was told before` : "Connecting";
    const streams = this.health?.streams ?? [];
    if (streams.length && streams.every((s) => s.state === "stale" || s.state === "down")) return `No venue answers: ${streams[0]?.detail || "every stream is silent"}`;
    return this.health?.notes[0] ?? "Waiting for the first prices";
  }

  choose(base: string): void {
    if (base === this.base) return; // nothing would be told again
    const { market, clusters, ladder, flow, context, truth, tape, marketHeardMs } = this;
    if (market) this.told.set(this.base, { market, clusters, ladder, flow, context, truth, tape, marketHeardMs });
    for (const oldest of this.told.keys()) {
      if (this.told.size <= MARKETS_KEPT) break;
      this.told.delete(oldest);
    }
    this.base = base;
    this.ladderWish = { ...this.ladderWish, step: 0, venue: "" };
    this.filters = { ...this.filters, venue: "all" };
    // An old book must not greet anybody; where nobody answers, it is better than nothing, and dimmed.
    Object.assign(this, (this.status === "open" ? null : this.told.get(base)) ?? NOTHING);
    this.subscribe();
  }

  filter(filters: Partial<Filters>): void {
    this.filters = { ...this.filters, ...filters };
    this.subscribe();
  }

  /** Which panels are on screen. */
  show(panels: readonly Panel[]): void {
    if (panels.join() === this.panels.join()) return;
    this.panels = panels;
    if (!panels.includes("ladder")) this.ladder = null; // an old book must not greet anybody
    this.subscribe();
  }

  /** What the ladder shows: grouping, rows, venue. */
  group(wish: Partial<LadderWish>): void {
    this.ladderWish = { ...this.ladderWish, ...wish };
    if (wish.venue !== undefined) this.ladder = null; // another venue's book is another book
    this.subscribe();
  }

  /** blank: nothing is drawn yet, so that tiles sent before are sent again. */
  view(tiles: TileView["tiles"], blank: boolean): void {
    this.say({ k: "view", view: { base: this.base, filters: this.filters, tiles }, blank });
  }

  read(atMs: number, price: number): Promise<Reading | null> {
    const id = this.next++;
    this.say({ k: "read", id, atMs, price });
    return new Promise((resolve) => this.readings.set(id, resolve));
  }

  /** The smallest cluster that counts for this user; 0 = by the size of the market. */
  least(usd: number): void {
    if (usd === this.leastUsd) return;
    this.leastUsd = usd;
    // Fewer are here already; more are on their way.
    if (this.clusters) this.clusters = atLeast(this.clusters, usd);
    this.subscribe();
  }

  private get wish(): Wish {
    return { ladder: this.ladderWish, leastUsd: this.leastUsd };
  }

  private subscribe(): void {
    const b = this.base;
    if (!b) return;
    const topics = [`market:${b}`, `map:${b}:${this.filters.venue}`, `clusters:${b}`, `tape:${b}`, `context:${b}`, "health"];
    for (const panel of this.panels) topics.push(...OF_PANEL[panel].map((kind) => `${kind}:${b}`));
    this.say({ k: "topics", topics, wish: this.wish });
  }

  /** The last ladder of the venue before may still be on its way. */
  private ofWish(m: Ladder): boolean {
    const { venue } = this.ladderWish;
    const named = [...m.venues, ...Object.keys(m.absent)];
    return venue ? named.every((v) => v === venue) : named.length > 1 || this.venues.length < 2;
  }

  private say(message: ToWorker, transfer: Transferable[] = []): void {
    this.worker.postMessage(message, transfer);
  }

  private hear(m: FromWorker): void {
    if (m.k === "status") {
      this.status = m.state;
      if (m.state === "open") this.reopened();
      // Before any market is known, health says what the program is doing.
      if (m.state === "open" && !this.base) this.say({ k: "topics", topics: ["health"], wish: this.wish });
    }
    else if (m.k === "tile") this.onTile(m.tile);
    else if (m.k === "forget") this.onForget();
    else if (m.k === "loading") { this.loading = m.open; this.failed = m.failed; }
    else if (m.k === "live") this.onLive(m);
    else if (m.k === "reading") { this.readings.get(m.id)?.(m.reading); this.readings.delete(m.id); }
    else this.message(m.message);
  }

  private reopened(): void {
    // What came with the page is as fresh as the first line: only a line that was cut leaves something behind.
    if (this.opened) this.openedMs = Date.now();
    this.opened = true;
    this.opens++;
    for (const store of this.stores.values()) store.doubt();
  }

  private greeted(hello: Hello): void {
    const before = this.hello;
    this.hello = hello;
    // Another history behind the same address: nothing of the old one is of this market.
    if (before && before.dataset !== hello.dataset) {
      for (const store of this.stores.values()) store.forget();
      this.told.clear();
      this.tape = [];
    }
    const listed = hello.markets.some((m) => m.base === this.base);
    const first = hello.markets[0]?.base;
    if (!this.base && first) this.choose(first);
    // A server that has just started refuses what it does not follow yet: asked again once it does.
    else if (listed && before && String(before.markets.map((m) => m.base)) !== String(hello.markets.map((m) => m.base))) this.subscribe();
  }

  private message(m: Extract<FromWorker, { k: "message" }>["message"]): void {
    this.heardMs = Date.now();
    if (m.t === "hello") this.greeted(m);
    else if (m.t === "health") this.health = m;
    else if (m.t === "problem") this.failed = m.message;
    else if ("base" in m && m.base === this.base) {
      if (m.t === "market") { this.market = m; this.marketHeardMs = Date.now(); }
      else if (m.t === "clusters") this.clusters = atLeast(m, this.leastUsd);
      else if (m.t === "ladder") { if (this.ofWish(m)) this.ladder = m; }
      else if (m.t === "flow") this.flow = m;
      else if (m.t === "context") this.context = m;
      else if (m.t === "truth") this.truth = m;
      else if (m.t === "candle") { if (m.intervalS === 60) this.candles(m.base).tell(m); }
      else if (m.t === "tape") this.tape = joined(this.tape, m.rows);
    }
  }
}

/** A reconnect tells the recent past again: what is here already is not taken twice. */
export function joined(held: readonly TapeRow[], fresh: readonly TapeRow[]): readonly TapeRow[] {
  const name = (r: TapeRow): string => `${r.atMs} ${r.venue} ${r.side} ${r.price} ${r.usd}`;
  const from = fresh[0]?.atMs ?? Infinity;
  const known = new Set(held.filter((r) => r.atMs >= from).map(name));
  return [...held, ...fresh.filter((r) => !known.has(name(r)))].slice(-TAPE_KEPT);
}
