/** The live connection: reconnects by itself, subscribes again, and notices a dead line. */
import type { ClientMessage, ServerMessage } from "../wire/types";
import type { Wish } from "./protocol";

const PING_MS = 10_000;
const DEAD_MS = 25_000;

export interface SocketEvents {
  status(state: "connecting" | "open" | "closed", retryMs: number): void;
  message(message: ServerMessage): void;
  binary(data: ArrayBuffer): void;
}

export class LiveSocket {
  private socket: WebSocket | null = null;
  private failures = 0;
  private heardMs = 0;
  private nonce = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private topics: readonly string[] = [];
  private wish: Wish = { ladder: { step: 0, rows: 60, venue: "" }, leastUsd: 0 };

  constructor(private readonly url: string, private readonly on: SocketEvents) {
    setInterval(() => this.watch(), PING_MS / 2);
    this.connect();
  }

  subscribe(topics: readonly string[], wish: Wish): void {
    const gone = this.topics.filter((topic) => !topics.includes(topic));
    this.topics = topics;
    this.wish = wish;
    if (gone.length) this.say({ t: "unsubscribe", topics: gone });
    const { ladder, leastUsd } = wish;
    this.say({ t: "subscribe", topics, ladderStep: ladder.step, ladderRows: ladder.rows, ladderVenue: ladder.venue, clusterMinUsd: leastUsd });
  }

  /** The page came back from the background: do not wait for timers. */
  wake(): void {
    if (this.socket?.readyState !== WebSocket.OPEN) {
      this.failures = 0;
      this.connect();
    }
  }

  private connect(): void {
    clearTimeout(this.timer);
    this.socket?.close();
    this.on.status("connecting", 0);
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onopen = () => {
      this.heardMs = Date.now();
      this.on.status("open", 0);
      if (this.topics.length) this.subscribe(this.topics, this.wish);
    };
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      this.failures = 0;
      this.heardMs = Date.now();
      if (typeof event.data === "string") this.on.message(JSON.parse(event.data) as ServerMessage);
      else this.on.binary(event.data);
    };
    socket.onclose = () => {
      if (this.socket !== socket) return;
      const ceiling = Math.min(15_000, 500 * 2 ** this.failures++);
      const retryMs = ceiling * (0.3 + 0.7 * Math.random());
      this.on.status("closed", retryMs);
      this.timer = setTimeout(() => this.connect(), retryMs);
    };
  }

  private watch(): void {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    if (Date.now() - this.heardMs > DEAD_MS) this.socket.close();
    else if (Date.now() - this.heardMs > PING_MS) this.say({ t: "ping", nonce: this.nonce++ });
  }

  private say(message: ClientMessage): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}
