/** What the page knows: the newest message of each topic, and the worker behind it. */
import type { Clusters, Health, Hello, Ladder, Market, TapeRow } from "../wire/types";
import type { Filters, FromWorker, PlacedTile, Reading, TileView, ToWorker } from "../worker/protocol";

export class Live {
  hello = $state.raw<Hello | null>(null);
  market = $state.raw<Market | null>(null);
  clusters = $state.raw<Clusters | null>(null);
  ladder = $state.raw<Ladder | null>(null);
  health = $state.raw<Health | null>(null);
  tape = $state.raw<readonly TapeRow[]>([]);
  status = $state<"connecting" | "open" | "closed">("connecting");
  loading = $state(0);
  failed = $state("");
  heardMs = $state(0);
  base = $state("");
  filters = $state.raw<Filters>({ venue: "all", sides: [true, true], bands: [true, true, true] });
  step = $state(0);
  onTile: (tile: PlacedTile) => void = () => undefined;
  onForget: () => void = () => undefined;
  onLive: (message: Extract<FromWorker, { k: "live" }>) => void = () => undefined;
  private readings = new Map<number, (reading: Reading | null) => void>();
  private next = 0;
  private worker = new Worker(new URL("../worker/worker.ts", import.meta.url), { type: "module" });

  constructor() {
    this.worker.onmessage = (event: MessageEvent<FromWorker>) => this.hear(event.data);
    const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`;
    this.say({ k: "open", url, origin: location.origin });
    document.addEventListener("visibilitychange", () => !document.hidden && this.say({ k: "wake" }));
  }

  choose(base: string): void {
    this.base = base;
    this.market = this.clusters = this.ladder = null;
    this.tape = [];
    this.subscribe();
  }

  filter(filters: Filters): void {
    this.filters = filters;
    this.subscribe();
  }

  group(step: number): void {
    this.step = step;
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

  private subscribe(): void {
    const b = this.base;
    const topics = [`market:${b}`, `candle:${b}`, `map:${b}:${this.filters.venue}`, `ladder:${b}`, `clusters:${b}`, `tape:${b}`, "health"];
    this.say({ k: "topics", topics, step: this.step, rows: 120 });
  }

  private say(message: ToWorker): void {
    this.worker.postMessage(message);
  }

  private hear(m: FromWorker): void {
    if (m.k === "status") {
      this.status = m.state;
      // Before any market is known, health says what the program is doing.
      if (m.state === "open" && !this.base) this.say({ k: "topics", topics: ["health"], step: 0, rows: 0 });
    }
    else if (m.k === "tile") this.onTile(m.tile);
    else if (m.k === "forget") this.onForget();
    else if (m.k === "loading") { this.loading = m.open; this.failed = m.failed; }
    else if (m.k === "live") this.onLive(m);
    else if (m.k === "reading") { this.readings.get(m.id)?.(m.reading); this.readings.delete(m.id); }
    else this.message(m.message);
  }

  private message(m: Extract<FromWorker, { k: "message" }>["message"]): void {
    this.heardMs = Date.now();
    if (m.t === "hello") {
      this.hello = m;
      if (!this.base && m.markets[0]) this.choose(m.markets[0].base);
    } else if (m.t === "health") this.health = m;
    else if ("base" in m && m.base === this.base) {
      if (m.t === "market") this.market = m;
      else if (m.t === "clusters") this.clusters = m;
      else if (m.t === "ladder") this.ladder = m;
      else if (m.t === "tape") this.tape = [...this.tape, ...m.rows].slice(-2000);
    } else if (m.t === "problem") this.failed = m.message;
  }
}
